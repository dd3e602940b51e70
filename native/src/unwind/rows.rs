//! From gimli's rows to ours: what cannot be said in a few bytes is marked as such.
use super::cfi::{Cfa, Expression, Row, Rule, Table};
use crate::arch;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian, Operation, Register,
    RegisterRule, UnwindContext, UnwindExpression, UnwindTableRow,
};

const MOST_ROWS: usize = 1 << 16;

pub type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// One function's entry with the one it shares, as gimli wants them.
pub struct Frames<'a> {
    pub frames: EhFrame<Slice<'a>>,
    pub bases: BaseAddresses,
}

/// The rows of a function; None for an entry that is not well-formed.
pub fn rows(
    context: &mut UnwindContext<usize>,
    frames: &Frames<'_>,
    frame: &FrameDescriptionEntry<Slice<'_>>,
    table: &mut Table,
) -> Option<Vec<Row>> {
    let ra = frame.cie().return_address_register();
    let mut rows: Vec<Row> = Vec::new();
    let mut unwind = frame.rows(&frames.frames, &frames.bases, context).ok()?;
    while let Some(row) = unwind.next_row().ok()? {
        let pc = u32::try_from(row.start_address().checked_sub(frame.initial_address())?).ok()?;
        let next = compact(row, pc, ra, frames, frame, table);
        match rows.last_mut() {
            Some(last) if last.pc == pc => *last = next,
            Some(last) if Row { pc, ..*last } == next => {}
            _ => rows.push(next),
        }
        if rows.len() > MOST_ROWS {
            return None;
        }
    }
    Some(rows)
}

fn compact(
    row: &UnwindTableRow<usize>,
    pc: u32,
    ra: Register,
    frames: &Frames<'_>,
    frame: &FrameDescriptionEntry<Slice<'_>>,
    table: &mut Table,
) -> Row {
    let cfa = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => match (u8::try_from(register.0), i32::try_from(offset)) {
            (Ok(register), Ok(offset)) if (register as usize) < arch::DWARF_REGISTERS => {
                Cfa::Register(register, offset)
            }
            _ => Cfa::Unsupported,
        },
        CfaRule::Expression(expression) => cfa_expression(expression, frames, frame, table),
    };
    let fp = rule(row.register(Register(arch::FP as u16)), frames, frame, table);
    // Without a rule the return address is still where the call left it: in a register, or (x86) always in memory.
    let ra = rule(row.register(ra), frames, frame, table);
    Row { pc, cfa, fp, ra }
}

fn rule(
    rule: Option<RegisterRule<usize>>,
    frames: &Frames<'_>,
    frame: &FrameDescriptionEntry<Slice<'_>>,
    table: &mut Table,
) -> Rule {
    match rule {
        None | Some(RegisterRule::SameValue) => Rule::Same,
        Some(RegisterRule::Undefined) => Rule::Undefined,
        Some(RegisterRule::Offset(offset)) => i16::try_from(offset).map_or(Rule::Unsupported, Rule::Offset),
        Some(RegisterRule::Register(register)) if (register.0 as usize) < arch::DWARF_REGISTERS => {
            Rule::Register(register.0 as u8)
        }
        Some(RegisterRule::Expression(expression)) => operations(expression, frames, frame)
            .and_then(|operations| simple_expression(&operations))
            .and_then(|expression| table.expression(expression))
            .map_or(Rule::Unsupported, Rule::Expression),
        _ => Rule::Unsupported,
    }
}

fn operations<'a>(
    expression: UnwindExpression<usize>,
    frames: &Frames<'a>,
    frame: &FrameDescriptionEntry<Slice<'_>>,
) -> Option<Vec<Operation<Slice<'a>>>> {
    let mut list = Vec::new();
    let mut iterator = expression.get(&frames.frames).ok()?.operations(frame.cie().encoding());
    while let Some(operation) = iterator.next().ok()? {
        list.push(operation);
        if list.len() > 16 {
            return None;
        }
    }
    Some(list)
}

fn cfa_expression(
    expression: UnwindExpression<usize>,
    frames: &Frames<'_>,
    frame: &FrameDescriptionEntry<Slice<'_>>,
    table: &mut Table,
) -> Cfa {
    let Some(operations) = operations(expression, frames, frame) else { return Cfa::Unsupported };
    plt(&operations)
        .or_else(|| Some(Cfa::Expression(table.expression(simple_expression(&operations)?)?)))
        .unwrap_or(Cfa::Unsupported)
}

/// breg + offset [, deref] [, plus_uconst]
fn simple_expression(operations: &[Operation<Slice<'_>>]) -> Option<Expression> {
    let (&Operation::RegisterOffset { register, offset, .. }, rest) = operations.split_first()? else {
        return None;
    };
    if register.0 as usize >= arch::DWARF_REGISTERS {
        return None;
    }
    let mut expression = Expression { register: register.0 as u8, offset, dereference: false, add: 0 };
    for operation in rest {
        match *operation {
            Operation::Deref { size: 8, space: false, .. } if !expression.dereference => expression.dereference = true,
            Operation::PlusConstant { value } => expression.add = expression.add.wrapping_add(value as i64),
            Operation::Nop => {}
            _ => return None,
        }
    }
    Some(expression)
}

/// rsp + 8 + ((rip & 15) >= threshold) << 3
fn plt(operations: &[Operation<Slice<'_>>]) -> Option<Cfa> {
    use Operation::{And, Ge, Plus, RegisterOffset, Shl, UnsignedConstant};
    match operations {
        [
            RegisterOffset { register: sp, offset: 8, .. },
            RegisterOffset { register: pc, offset: 0, .. },
            UnsignedConstant { value: 15 },
            And,
            UnsignedConstant { value: threshold },
            Ge,
            UnsignedConstant { value: 3 },
            Shl,
            Plus,
        ] if sp.0 as usize == arch::SP && pc.0 as usize == arch::PC => Some(Cfa::Plt(*threshold as u8 & 15)),
        _ => None,
    }
}
