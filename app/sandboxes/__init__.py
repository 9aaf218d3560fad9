"""Where agents act; `base` is the contract, the makes stand beside it."""
