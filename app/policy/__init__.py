"""May I? The one way in: authentication, deadlines and limits on neutral values."""
