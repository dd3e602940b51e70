//! What goes to JavaScript.
use crate::processstat::{FIELDS, PID, Row, STATE};

/// Rows of `FIELDS`, and the name of each that is new or has another than before.
#[derive(Default)]
pub struct Rows {
    pub numbers: Vec<f64>,
    pub names: Vec<Option<String>>,
}

impl Rows {
    pub fn push(&mut self, row: &Row, name: Option<&[u8]>) {
        self.numbers.extend_from_slice(row);
        self.names.push(name.map(|name| String::from_utf8_lossy(name).into_owned()));
    }

    pub fn push_gone(&mut self, pid: i32) {
        let mut row = [0.0; FIELDS];
        row[PID] = f64::from(pid);
        row[STATE] = f64::NAN;
        self.push(&row, None);
    }
}
