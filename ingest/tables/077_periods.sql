-- What the software clock counts weighs one period a sample, so its counts follow from its values: they are not written, and
-- `sample_count` tells them. Of two hours of a core these counts were 15 % of samples and of function_minutes. `period` is 0 where a
-- cycle counter decides, and in rows of before this version: there the count is written. It sorts function_minutes, too, so that
-- only rows of one period are added up.
ALTER TABLE samples ADD COLUMN IF NOT EXISTS period UInt32 CODEC(ZSTD(1))
;
ALTER TABLE samples ADD COLUMN IF NOT EXISTS sample_count UInt32 ALIAS if(period > 0, intDiv(value, period), count)
;
ALTER TABLE function_minutes ADD COLUMN IF NOT EXISTS period UInt32 CODEC(ZSTD(1)), MODIFY ORDER BY ({order:function_minutes.period})
;
ALTER TABLE function_minutes ADD COLUMN IF NOT EXISTS sample_count UInt32 ALIAS if(period > 0, intDiv(self, period), self_count)
;
DROP VIEW IF EXISTS function_hours_of_minutes
;
CREATE MATERIALIZED VIEW IF NOT EXISTS function_hours_of_minutes TO function_hours AS
SELECT cluster, job, event, toStartOfHour(minute - 1) + 3600 AS hour, function_id, sum(own) AS self, sum(whole) AS total,
  sum(if(period > 0, intDiv(own, period), own_count)) AS self_count FROM (
  SELECT cluster, job, event, minute, function_id, self AS own, total AS whole, period, self_count AS own_count FROM function_minutes
) GROUP BY cluster, job, event, hour, function_id
;
DROP VIEW IF EXISTS functions_5m_of_minutes
;
CREATE MATERIALIZED VIEW IF NOT EXISTS functions_5m_of_minutes TO functions_5m AS
SELECT cluster, job, five AS time, function_id, sum(own) AS self, sum(whole) AS total,
  sum(if(period > 0, intDiv(own, period), own_count)) AS self_count FROM (
  SELECT cluster, toString(job) AS job, toDateTime(intDiv(toUnixTimestamp(minute) + 299, 300) * 300, 'UTC') AS five, function_id,
    self AS own, total AS whole, period, self_count AS own_count
  FROM function_minutes WHERE event = 'cpu'
) GROUP BY cluster, job, five, function_id
;
