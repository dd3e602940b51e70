//! The process table as JavaScript sees it: conversions only. collector/processstat.ts has the order of a row.
use super::Table;
use super::rows::Rows;
use napi::bindgen_prelude::{Float64Array, Int32Array};
use napi::{Error, Result};
use napi_derive::napi;
use std::path::Path;

#[napi(object, object_from_js = false)]
pub struct NativeStatRows {
    pub numbers: Float64Array,
    pub names: Vec<Option<String>>,
}

#[napi]
pub struct NativeProcessTable {
    proc: String,
    table: Option<Table>,
}

#[napi]
impl NativeProcessTable {
    #[napi(constructor)]
    pub fn new(proc: String, keep_files: u32) -> Self {
        let table = Some(Table::open(Path::new(&proc), keep_files as usize));
        NativeProcessTable { proc, table }
    }

    /// Throws where that /proc cannot be read.
    #[napi]
    pub fn meet(&mut self, forked: u32) -> Result<NativeStatRows> {
        let met = self.table()?.meet(forked);
        met.map(native_rows).map_err(|error| Error::from_reason(format!("{}: {error}", self.proc)))
    }

    #[napi]
    pub fn look(&mut self, anyway: Int32Array) -> Result<NativeStatRows> {
        Ok(native_rows(self.table()?.look(&anyway)))
    }

    #[napi]
    pub fn read_again(&mut self, pids: Int32Array) -> Result<NativeStatRows> {
        Ok(native_rows(self.table()?.read_again(&pids)))
    }

    #[napi]
    pub fn close(&mut self) {
        self.table = None;
    }
}

impl NativeProcessTable {
    fn table(&mut self) -> Result<&mut Table> {
        self.table.as_mut().ok_or_else(|| Error::from_reason("the process table is closed"))
    }
}

fn native_rows(Rows { numbers, names }: Rows) -> NativeStatRows {
    NativeStatRows { numbers: numbers.into(), names }
}
