//! Call frame information as rows that the walk can apply at once.
//!
//! `.eh_frame` is read one function at a time, when a sample first meets that function: start-up costs nothing, a binary
//! with millions of rows costs what runs of it, and memory is a few rows per hot function.
//!
//! ```text
//!   functions   [0x1130 .. 0x11c6) rows 0..3      [0x11c6 .. 0x1210) rows 3..3 (no CFI here)     sorted by start
//!   rows        +0  CFA = rsp+8                   RA at CFA-8
//!               +1  CFA = rsp+16   rbp at CFA-16  RA at CFA-8
//!               +4  CFA = rbp+16   rbp at CFA-16  RA at CFA-8
//! ```

/// Where the canonical frame address comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cfa {
    /// register + offset
    Register(u8, i32),
    /// An Expression of the table.
    Expression(u16),
    /// The procedure linkage table's: rsp + 8, and 8 more from this offset into each 16 byte entry on, when it has pushed.
    Plt(u8),
    Unsupported,
}

/// Where the caller's value of a register is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Same,
    Undefined,
    /// In memory at CFA + offset.
    Offset(i16),
    /// In another register.
    Register(u8),
    /// In memory at the address an Expression gives.
    Expression(u16),
    Unsupported,
}

/// What nearly all hand-written expressions are: [register + offset] + add, with or without the brackets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expression {
    pub register: u8,
    pub offset: i64,
    pub dereference: bool,
    pub add: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// From the start of its function.
    pub pc: u32,
    pub cfa: Cfa,
    pub fp: Rule,
    pub ra: Rule,
}

impl Row {
    /// Whether the row means anything only with the table it came from.
    pub fn uses_expressions(&self) -> bool {
        let rule = |rule| matches!(rule, Rule::Expression(_));
        matches!(self.cfa, Cfa::Expression(_)) || rule(self.fp) || rule(self.ra)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Function {
    pub start: u64,
    pub end: u64,
    pub first_row: u32,
    pub rows: u32,
    /// A signal trampoline: all registers of the interrupted code lie in the kernel's signal frame.
    pub signal: bool,
}

/// The rows of one file that were asked for until now.
#[derive(Default)]
pub struct Table {
    functions: Vec<Function>,
    rows: Vec<Row>,
    pub expressions: Vec<Expression>,
}

/// What is known of an address.
pub enum Found {
    Row {
        row: Row,
        signal: bool,
    },
    /// The file says nothing of this address.
    Gap,
    /// Not asked for yet.
    Unread,
}

impl Table {
    pub fn find(&self, pc: u64) -> Found {
        let index = self.functions.partition_point(|function| function.start <= pc);
        let Some(function) = index.checked_sub(1).map(|index| self.functions[index]).filter(|f| pc < f.end) else {
            return Found::Unread;
        };
        let rows = &self.rows[function.first_row as usize..][..function.rows as usize];
        let into = (pc - function.start) as u32;
        match rows.partition_point(|row| row.pc <= into).checked_sub(1) {
            Some(index) => Found::Row { row: rows[index], signal: function.signal },
            None => Found::Gap,
        }
    }

    /// Start of the function an address belongs to, if it was read.
    pub fn start_of(&self, pc: u64) -> Option<u64> {
        let index = self.functions.partition_point(|function| function.start <= pc).checked_sub(1)?;
        Some(self.functions[index])
            .filter(|function| pc < function.end && function.rows > 0)
            .map(|function| function.start)
    }

    /// Adds a function (or a gap: without rows). Where it overlaps what is known, what is known stays.
    pub fn add(&mut self, start: u64, end: u64, signal: bool, rows: &[Row]) {
        let index = self.functions.partition_point(|function| function.start <= start);
        let before = index.checked_sub(1).map_or(0, |index| self.functions[index].end);
        let after = self.functions.get(index).map_or(u64::MAX, |function| function.start);
        if start < before || start >= end.min(after) {
            return;
        }
        let function =
            Function { start, end: end.min(after), first_row: self.rows.len() as u32, rows: rows.len() as u32, signal };
        self.rows.extend_from_slice(rows);
        self.functions.insert(index, function);
    }

    /// The number of an expression; None when the table holds as many as a u16 can name.
    pub fn expression(&mut self, expression: Expression) -> Option<u16> {
        if let Some(index) = self.expressions.iter().position(|known| *known == expression) {
            return u16::try_from(index).ok();
        }
        self.expressions.push(expression);
        u16::try_from(self.expressions.len() - 1).ok()
    }

    pub fn bytes(&self) -> usize {
        self.functions.capacity() * size_of::<Function>()
            + self.rows.capacity() * size_of::<Row>()
            + self.expressions.capacity() * size_of::<Expression>()
    }

    pub fn clear(&mut self) {
        *self = Table::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pc: u32, offset: i32) -> Row {
        Row { pc, cfa: Cfa::Register(7, offset), fp: Rule::Same, ra: Rule::Offset(-8) }
    }

    fn cfa(table: &Table, pc: u64) -> String {
        match table.find(pc) {
            Found::Row { row, .. } => format!("{:?}", row.cfa),
            Found::Gap => "gap".into(),
            Found::Unread => "unread".into(),
        }
    }

    #[test]
    fn finds_the_row_that_covers_an_address() {
        let mut table = Table::default();
        table.add(0x1130, 0x11c6, false, &[row(0, 8), row(1, 16), row(4, 32)]);
        table.add(0x11c6, 0x1210, false, &[]);
        table.add(0x1000, 0x1100, false, &[row(0, 8)]);
        assert_eq!(cfa(&table, 0x1130), "Register(7, 8)");
        assert_eq!(cfa(&table, 0x1133), "Register(7, 16)");
        assert_eq!(cfa(&table, 0x11c5), "Register(7, 32)");
        assert_eq!(cfa(&table, 0x11c6), "gap");
        assert_eq!(cfa(&table, 0x1110), "unread");
    }

    #[test]
    fn overlaps_cannot_hide_what_is_known() {
        let mut table = Table::default();
        table.add(0x1000, 0x1100, false, &[row(0, 8)]);
        table.add(0x1080, 0x1200, false, &[row(0, 99)]);
        table.add(0x0f00, 0x1200, false, &[row(0, 99)]);
        assert_eq!(cfa(&table, 0x1080), "Register(7, 8)");
        assert_eq!(cfa(&table, 0x1180), "unread");
        assert_eq!(cfa(&table, 0x0f80), "Register(7, 99)");
    }
}
