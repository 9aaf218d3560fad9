"""The PostgreSQL make: many replicas, group commit per replica."""
