-- What lists of jobs go by, so that a page of a million reads two columns and some granules of the rest.
-- Newest first: by submission, or where nobody told it by start.
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS sorted_ms Int64 DEFAULT if(submit_ms > 0, submit_ms, start_ms) CODEC(Delta, ZSTD(1)) AFTER end_ms
;
-- What of an array waited in one record, and is now told task by task: it never ran.
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS expanded Bool DEFAULT state = 'completed' AND start_ms = 0 AND array_id != '' AND id = array_id AFTER sorted_ms
;
-- Ids rise with time, more or less, so granules hold jobs of one time.
ALTER TABLE jobs ADD INDEX IF NOT EXISTS by_sorted sorted_ms TYPE minmax GRANULARITY 1
;
ALTER TABLE jobs ADD INDEX IF NOT EXISTS by_start start_ms TYPE minmax GRANULARITY 1
;
ALTER TABLE jobs ADD INDEX IF NOT EXISTS by_end end_ms TYPE minmax GRANULARITY 1
;
-- Of rows that are there; in the background.
ALTER TABLE jobs MATERIALIZE COLUMN sorted_ms
;
ALTER TABLE jobs MATERIALIZE COLUMN expanded
;
ALTER TABLE jobs MATERIALIZE INDEX by_sorted
;
ALTER TABLE jobs MATERIALIZE INDEX by_start
;
ALTER TABLE jobs MATERIALIZE INDEX by_end
;
