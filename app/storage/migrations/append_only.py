"""Triggers that keep the audit log append-only, also against a slip of whoever has the database open.

Rows are never changed, and deleted only when they are older than the time in `audit_horizon`, which
retention moves on. It is no wall against somebody who may drop triggers.
"""

SQLITE_TRIGGERS = (
    """
CREATE TRIGGER audit_log_keeps BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
""",
    """
CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log
WHEN OLD.at >= coalesce((SELECT max(at) FROM audit_horizon), 0)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
""",
)

POSTGRES_TRIGGERS = (
    """
CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.at < (SELECT max(h.at) FROM audit_horizon h) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'the audit log is append-only';
END $$
""",
    """
CREATE TRIGGER audit_log_keeps BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION keep_audit_log()
""",
    """
CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log()
""",
)
