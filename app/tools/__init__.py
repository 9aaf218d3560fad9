"""What agents can do; `base` is the contract, `registry` knows them all."""
