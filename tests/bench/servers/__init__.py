"""Programs that the bench starts: bare servers to compare with, and the gateway with an agent of ours."""
