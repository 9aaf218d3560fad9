"""The think-act loop of one task; `base` is the contract, the makes stand beside it."""
