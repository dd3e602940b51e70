-- Rollups of a minute are no more: as large as the ticks, and finer than a screen shows. Those of five minutes are made by
-- tables/points.ts; of the last day they are filled at the next start (mend.ts), older days have their hours.
DROP TABLE IF EXISTS node_points_1m
;
DROP TABLE IF EXISTS core_points_1m
;
DROP TABLE IF EXISTS disk_points_1m
;
DROP TABLE IF EXISTS interface_points_1m
;
DROP TABLE IF EXISTS filesystem_points_1m
;
DROP TABLE IF EXISTS socket_points_1m
;
DROP TABLE IF EXISTS gpu_points_1m
;
DROP TABLE IF EXISTS job_points_1m
;
DROP TABLE IF EXISTS numa_points_1m
;
DROP TABLE IF EXISTS cache_points_1m
;
