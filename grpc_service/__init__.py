"""The gRPC front end: wire messages in, `AgentService` called once, wire messages out."""

import os

# gRPC's fork handlers cannot work in a process of many threads, and write a line to stderr for every
# subprocess that uvloop forks. They are set up when grpc is imported, and no module of this package is
# imported before this one. Not in `os.environ`: sandboxes must not inherit it.
os.putenv("GRPC_ENABLE_FORK_SUPPORT", "0")
