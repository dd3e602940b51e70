-- As in function_minutes (065): times of the software clock are whole multiples of one period.
ALTER TABLE functions_5m MODIFY COLUMN self CODEC(GCD, T64, ZSTD(6))
;
ALTER TABLE functions_5m MODIFY COLUMN total CODEC(GCD, T64, ZSTD(6))
;
ALTER TABLE function_hours MODIFY COLUMN self CODEC(GCD, T64, ZSTD(6))
;
ALTER TABLE function_hours MODIFY COLUMN total CODEC(GCD, T64, ZSTD(6))
;
