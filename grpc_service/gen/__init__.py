"""Generated from proto/ by scripts/gen_proto.py: never edited, for adapters only."""
