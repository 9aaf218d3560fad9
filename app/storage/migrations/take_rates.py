"""The function by which replicas share their rates, on PostgreSQL: the GCRA of `app/domain/rates.py`.

One call takes a batch: `calls` numbers the takes, in order and without holes from 1; each of its draws
has the key of a bucket, the microseconds between two and the span of the burst. The rows are locked in
the order of their keys, so replicas wait for each other but never in a circle; then each take is carried
out on what the one before left, all of its draws or none, by the server's clock.
"""

TAKE_RATES = """
CREATE FUNCTION take_rates(calls int[], keys text[], intervals bigint[], spans bigint[])
RETURNS TABLE (admitted boolean, levels bigint[]) LANGUAGE plpgsql AS $$
DECLARE
  moment bigint;
  wanted int := (SELECT count(DISTINCT k) FROM unnest(keys) AS k);
  held int;
BEGIN
  LOOP
    SELECT count(*) INTO held FROM (
      SELECT 1 FROM rate_buckets b WHERE b.key = ANY(keys) ORDER BY b.key FOR UPDATE
    ) AS locked;
    EXIT WHEN held = wanted;
    INSERT INTO rate_buckets (key, due) SELECT DISTINCT k, 0 FROM unnest(keys) AS k ORDER BY 1
    ON CONFLICT DO NOTHING;
  END LOOP;
  moment := extract(epoch FROM clock_timestamp()) * 1000000;
  FOR take IN 1 .. coalesce(array_length(calls, 1), 0) LOOP
    EXIT WHEN take > calls[array_length(calls, 1)];
    SELECT bool_and(greatest(b.due, moment) + d.pause - moment <= d.span),
           array_agg(greatest(b.due - moment, 0) ORDER BY d.number)
    INTO admitted, levels
    FROM unnest(calls, keys, intervals, spans) WITH ORDINALITY AS d (of_call, key, pause, span, number)
    JOIN rate_buckets b USING (key) WHERE d.of_call = take;
    IF admitted THEN
      WITH drawn AS (
        UPDATE rate_buckets b SET due = greatest(b.due, moment) + d.pause
        FROM unnest(calls, keys, intervals) WITH ORDINALITY AS d (of_call, key, pause, number)
        WHERE d.of_call = take AND b.key = d.key RETURNING b.due - moment AS level, d.number
      ) SELECT array_agg(level ORDER BY number) INTO levels FROM drawn;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$
"""
