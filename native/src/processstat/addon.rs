//! The process table's batch as JavaScript sees it: conversions only. collector/processstat.ts has the order of a row.
use super::FIELDS;
use napi::bindgen_prelude::{Float64ArraySlice, Int32Array, Int32ArraySlice};
use napi::{Error, Result};
use napi_derive::napi;
use std::path::Path;

/// Throws where that /proc cannot be read.
#[napi]
pub fn list_pids(proc: String) -> Result<Int32Array> {
    let listed = super::list(Path::new(&proc));
    listed.map(Int32Array::from).map_err(|error| Error::from_reason(format!("{proc}: {error}")))
}

/// Fills a row of eleven numbers for each descriptor of a stat file; NaN first where the process is gone.
#[napi]
pub fn read_process_stats(fds: Int32ArraySlice, mut rows: Float64ArraySlice) -> Result<()> {
    // SAFETY: JavaScript waits for this call, so nobody else reads or writes the numbers meanwhile.
    let rows = unsafe { rows.as_mut() };
    if rows.len() < fds.len() * FIELDS {
        return Err(Error::from_reason("a row of eleven numbers is needed for each descriptor"));
    }
    super::read(&fds, rows);
    Ok(())
}
