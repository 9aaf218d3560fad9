"""Who calls: a chain of recognisers, one for each kind of credential, and the brake on those who guess."""
