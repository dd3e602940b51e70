use super::*;
use crate::processstat::{FIELDS, PID, RESIDENT};
use std::process::{Child, Command, Stdio};

struct Program(Child);

impl Program {
    fn start(script: &str) -> Program {
        let mut command = Command::new("sh");
        Program(command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

fn row_of(rows: &Rows, pid: i32) -> Option<&[f64]> {
    rows.numbers.chunks_exact(FIELDS).find(|row| row[PID] == f64::from(pid))
}

fn rests(table: &Table, pid: i32) -> bool {
    table.is_at_rest(pid, &table.known[&pid], Instant::now())
}

/// Asks until the answer is there: what a program does takes its time.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not happen within ten seconds")
}

#[test]
fn one_that_rests_is_read_when_asked_for_alone() {
    let program = Program::start("read go");
    let pid = program.pid();
    let mut table = Table::open(Path::new("/proc"), 1000);
    assert!(table.has_clocks);
    table.meet(0).unwrap();
    // when it waits for its input
    until(|| (row_of(&table.look(&[]), pid).is_none() && rests(&table, pid)).then_some(()));
    // what only a line can tell
    table.known.get_mut(&pid).unwrap().row[RESIDENT] = 1.0;
    assert!(row_of(&table.look(&[]), pid).is_none());
    assert!(row_of(&table.look(&[pid]), pid).unwrap()[RESIDENT] > 1.0);
    assert!(row_of(&table.look(&[pid]), pid).is_none());
    assert!(row_of(&table.read_again(&[pid]), pid).is_some());
    // it ran, if for less than a tick
    table.known.get_mut(&pid).unwrap().clock = Some(1);
    assert!(row_of(&table.look(&[pid]), pid).is_some());
    assert!(row_of(&table.look(&[pid]), pid).is_none());
}

/// A program, its child, and a table that has no reason to read either.
fn family_at_rest() -> (Program, i32, Table) {
    let parent = Program::start("sleep 100 & read go");
    let mut table = Table::open(Path::new("/proc"), 0);
    let child = until(|| {
        let rows = table.meet(0).unwrap();
        let mut all = rows.numbers.chunks_exact(FIELDS);
        all.find(|row| row[PARENT] == f64::from(parent.pid())).map(|row| row[PID] as i32)
    });
    until(|| {
        table.look(&[]);
        rests(&table, child).then_some(())
    });
    (parent, child, table)
}

#[test]
fn a_child_has_another_parent_when_its_own_is_gone() {
    let (mut parent, child, mut table) = family_at_rest();
    parent.0.kill().unwrap();
    parent.0.wait().unwrap();
    let rows = table.look(&[]);
    assert!(row_of(&rows, parent.pid()).unwrap()[STATE].is_nan());
    assert_ne!(row_of(&rows, child).unwrap()[PARENT], f64::from(parent.pid()));
    // SAFETY: our own grandchild.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert!(table.meet(0).unwrap().names.iter().all(Option::is_some));
}

#[test]
fn a_child_has_another_parent_when_nobody_waits_for_its_own() {
    let (mut parent, child, mut table) = family_at_rest();
    parent.0.kill().unwrap();
    until(|| {
        table.look(&[]);
        (table.known[&parent.pid()].row[STATE] == f64::from(b'Z')).then_some(())
    });
    assert_ne!(table.known[&child].row[PARENT], f64::from(parent.pid()));
    // SAFETY: our own grandchild.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

#[test]
fn new_ones_are_found_without_a_list() {
    let mut table = Table::open(Path::new("/proc"), 0);
    table.meet(0).unwrap();
    table.meet(0).unwrap();
    let listed = table.listed;
    let program = Program::start("read go");
    let met = table.meet(1).unwrap();
    assert!(row_of(&met, program.pid()).is_some());
    assert!(table.listed == listed || read_newest(Path::new("/proc")) < Some(program.pid()));
    // more were forked than pids were given out in order
    assert!(row_of(&table.meet(1 << 30).unwrap(), program.pid()).is_none());
    assert!(table.listed > listed);
}

#[test]
fn a_table_elsewhere_has_no_clocks() {
    assert!(!Table::open(Path::new("/nowhere"), 0).has_clocks);
    assert!(Table::open(Path::new("/nowhere"), 0).meet(0).is_err());
}
