//! What JavaScript sees of the exit records: conversions only. collector/exits.ts holds the same shapes as types.
use super::Listener;
use super::heap::Exits;
use napi::bindgen_prelude::{Float64Array, Uint32Array};
use napi::{Error, Result};
use napi_derive::napi;

#[napi(object, object_from_js = false)]
pub struct NativeExits {
    pub pid: Uint32Array,
    pub parent_pid: Uint32Array,
    pub uid: Uint32Array,
    pub name: Uint32Array,
    pub names: Vec<String>,
    pub count: Uint32Array,
    pub cpu_ns: Float64Array,
    pub ticked_us: Float64Array,
    pub read_bytes: Float64Array,
    pub write_bytes: Float64Array,
    pub overruns: u32,
    pub unknown: u32,
}

#[napi]
pub struct NativeExitListener {
    listener: Option<Listener>,
}

#[napi]
impl NativeExitListener {
    /// Throws with the reason to show where there are no records here.
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        Ok(NativeExitListener { listener: Some(Listener::start().map_err(Error::from_reason)?) })
    }

    #[napi]
    pub fn drain(&self) -> Result<NativeExits> {
        Ok(native_exits(self.listener()?.drain()))
    }

    /// Two numbers a pid: nanoseconds waited for a CPU and for a disk; NaN where it is gone.
    #[napi]
    pub fn delays(&self, pids: Uint32Array) -> Result<Float64Array> {
        let pairs = self.listener()?.delays(&pids).into_iter();
        let known = |ns: Option<u64>| ns.map_or(f64::NAN, |ns| ns as f64);
        Ok(pairs.flat_map(|pair| [known(pair.map(|p| p.0)), known(pair.map(|p| p.1))]).collect::<Vec<_>>().into())
    }

    #[napi]
    pub fn close(&mut self) {
        self.listener = None;
    }
}

impl NativeExitListener {
    fn listener(&self) -> Result<&Listener> {
        self.listener.as_ref().ok_or_else(|| Error::from_reason("the listener is closed"))
    }
}

fn native_exits(exits: Exits) -> NativeExits {
    NativeExits {
        pid: exits.pid.into(),
        parent_pid: exits.parent_pid.into(),
        uid: exits.uid.into(),
        name: exits.name.into(),
        names: exits.names,
        count: exits.count.into(),
        cpu_ns: exits.cpu_ns.into(),
        ticked_us: exits.ticked_us.into(),
        read_bytes: exits.read_bytes.into(),
        write_bytes: exits.write_bytes.into(),
        overruns: exits.overruns,
        unknown: exits.unknown,
    }
}
