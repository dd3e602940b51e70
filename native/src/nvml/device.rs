//! One look at all GPUs and their MIG instances. What a GPU does not tell is NaN, and the answer says why.
use super::gpm::Gpm;
use super::processes::{GpuProcess, Processes};
use super::values::{name, read_clocks, read_errors, read_links, read_memory, read_power, read_use, uuid};
use super::{NOT_SUPPORTED, call};
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError, nvmlReturn_t,
};
use rustc_hash::FxHashMap;
use std::ffi::c_char;

/// Columns of the catalogue whose value is as it is read.
pub const GAUGES: [&str; 20] = [
    "utilization",
    "memory_busy",
    "memory_used",
    "memory_total",
    "power_watts",
    "power_limit_watts",
    "temperature",
    "memory_temperature",
    "clock_hz",
    "clock_limit_hz",
    "memory_clock_hz",
    "throttled",
    "sm_active",
    "sm_occupancy",
    "tensor_active",
    "fp64_active",
    "fp32_active",
    "fp16_active",
    "memory_bandwidth",
    "xid",
];
/// Columns that are the rate of what is counted here; of power: joules.
pub const COUNTERS: [&str; 7] = [
    "power_watts",
    "pcie_receive_bytes",
    "pcie_transmit_bytes",
    "link_receive_bytes",
    "link_transmit_bytes",
    "ecc_corrected",
    "ecc_uncorrected",
];
/// Columns of bytes a second, where they are told as such: the four links above.
pub const LINKS: std::ops::Range<usize> = 1..5;

const TIMEOUT: nvmlReturn_t = 10;

pub struct Gpu {
    pub uuid: String,
    /// 00000000:65:00.0, empty where the GPU is not even named.
    pub bus: String,
    /// GPU instance and compute instance, of MIG.
    pub mig: Option<(u32, u32)>,
    pub ordinal: u32,
    /// Of the handle: what it cannot be read for at all.
    pub error: nvmlReturn_t,
    pub gauges: [f64; GAUGES.len()],
    pub counters: [f64; COUNTERS.len()],
    /// Links told in bytes a second.
    pub rates: [f64; 4],
    /// Why a gauge (or, behind them, a counter) is not there.
    pub absent: Vec<(usize, nvmlReturn_t)>,
    pub processes: Vec<GpuProcess>,
}

pub fn text(bytes: &[c_char]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect()
}

fn gauge(column: &str) -> usize {
    GAUGES.iter().position(|name| *name == column).unwrap_or(0)
}

fn counter(column: &str) -> usize {
    COUNTERS.iter().position(|name| *name == column).unwrap_or(0)
}

impl Gpu {
    fn new(ordinal: u32, error: nvmlReturn_t) -> Gpu {
        Gpu {
            uuid: String::new(),
            bus: String::new(),
            mig: None,
            ordinal,
            error,
            gauges: [f64::NAN; GAUGES.len()],
            counters: [f64::NAN; COUNTERS.len()],
            rates: [f64::NAN; 4],
            absent: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// The value of a gauge, if the call went well. A GPU that is lost says so in any call.
    pub fn set(&mut self, column: &str, error: nvmlReturn_t, value: f64) {
        let at = gauge(column);
        self.put(error, at, value);
    }

    pub fn count(&mut self, column: &str, error: nvmlReturn_t, value: f64) {
        self.put(error, GAUGES.len() + counter(column), value);
    }

    fn put(&mut self, error: nvmlReturn_t, at: usize, value: f64) {
        if error != 0 {
            self.absent.push((at, error));
            if matches!(error, super::GPU_IS_LOST | super::RESET_REQUIRED) {
                self.error = error;
            }
        } else if at < GAUGES.len() {
            self.gauges[at] = value;
        } else {
            self.counters[at - GAUGES.len()] = value;
        }
    }
}

/// What is kept between looks.
pub struct Keeper {
    gpms: FxHashMap<String, Gpm>,
    processes: Processes,
    events: Option<nvmlEventSet_t>,
    watched: FxHashMap<usize, String>,
}

impl Keeper {
    pub fn open(lib: &NvmlLib) -> Keeper {
        let mut set: nvmlEventSet_t = std::ptr::null_mut();
        let events = (call!(lib, nvmlEventSetCreate, &raw mut set) == 0).then_some(set);
        Keeper { gpms: FxHashMap::default(), processes: Processes::default(), events, watched: FxHashMap::default() }
    }

    pub fn close(self, lib: &NvmlLib) {
        for gpm in self.gpms.into_values() {
            gpm.close(lib);
        }
        if let Some(set) = self.events {
            call!(lib, nvmlEventSetFree, set);
        }
    }

    pub fn look(&mut self, lib: &NvmlLib) -> (nvmlReturn_t, Vec<Gpu>) {
        let mut count = 0;
        let error = call!(lib, nvmlDeviceGetCount_v2, &raw mut count);
        if error != 0 {
            return (error, Vec::new());
        }
        let mut gpus = Vec::new();
        for ordinal in 0..count {
            let mut device: nvmlDevice_t = std::ptr::null_mut();
            let error = call!(lib, nvmlDeviceGetHandleByIndex_v2, ordinal, &raw mut device);
            let mut gpu = Gpu::new(ordinal, error);
            if error == 0 {
                self.read(lib, device, &mut gpu);
                let instances = self.read_instances(lib, device, &gpu);
                gpus.push(gpu);
                gpus.extend(instances);
            } else {
                gpus.push(gpu);
            }
        }
        self.gpms.retain(|uuid, _| gpus.iter().any(|gpu| gpu.uuid == *uuid));
        for (uuid, xid) in self.read_events(lib) {
            for gpu in gpus.iter_mut().filter(|gpu| gpu.uuid == uuid && gpu.mig.is_none()) {
                gpu.set("xid", 0, xid);
            }
        }
        (0, gpus)
    }

    fn read(&mut self, lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
        name(lib, device, gpu);
        read_use(lib, device, gpu);
        read_power(lib, device, gpu);
        read_clocks(lib, device, gpu);
        read_errors(lib, device, gpu);
        let gpm = self.gpms.entry(gpu.uuid.clone()).or_default();
        gpm.read(lib, device, None, gpu);
        read_links(lib, device, gpu);
        gpu.processes = self.processes.read(lib, device, &gpu.uuid);
        self.watch(lib, device, gpu);
    }

    fn read_instances(&mut self, lib: &NvmlLib, device: nvmlDevice_t, parent: &Gpu) -> Vec<Gpu> {
        let (mut mode, mut pending, mut most) = (0, 0, 0);
        if call!(lib, nvmlDeviceGetMigMode, device, &raw mut mode, &raw mut pending) != 0 || mode == 0 {
            return Vec::new();
        }
        call!(lib, nvmlDeviceGetMaxMigDeviceCount, device, &raw mut most);
        let instance = |index: u32| {
            let mut mig: nvmlDevice_t = std::ptr::null_mut();
            let error = call!(lib, nvmlDeviceGetMigDeviceHandleByIndex, device, index, &raw mut mig);
            (error == 0).then_some(mig)
        };
        (0..most).filter_map(instance).map(|mig| self.read_instance(lib, device, mig, parent)).collect()
    }

    /// Its part of the memory; of the rest only what GPM tells of instances.
    fn read_instance(&mut self, lib: &NvmlLib, device: nvmlDevice_t, mig: nvmlDevice_t, parent: &Gpu) -> Gpu {
        let mut gpu = Gpu::new(parent.ordinal, 0);
        let (mut instance, mut compute) = (0, 0);
        let error = call!(lib, nvmlDeviceGetGpuInstanceId, mig, &raw mut instance);
        call!(lib, nvmlDeviceGetComputeInstanceId, mig, &raw mut compute);
        gpu.error = error;
        gpu.mig = Some((instance, compute));
        gpu.uuid = uuid(lib, mig);
        gpu.bus.clone_from(&parent.bus);
        read_memory(lib, mig, &mut gpu);
        self.gpms.entry(gpu.uuid.clone()).or_default().read(lib, device, Some(instance), &mut gpu);
        gpu
    }

    /// Asks to be told of its Xid errors, once.
    fn watch(&mut self, lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
        let Some(set) = self.events else { return };
        if self.watched.contains_key(&(device as usize)) {
            return;
        }
        let error = call!(lib, nvmlDeviceRegisterEvents, device, u64::from(nvmlEventTypeXidCriticalError), set);
        if error == 0 || error == NOT_SUPPORTED {
            self.watched.insert(device as usize, gpu.uuid.clone());
        }
    }

    /// Those that wait, without waiting for one.
    fn read_events(&mut self, lib: &NvmlLib) -> Vec<(String, f64)> {
        let mut events = Vec::new();
        let Some(set) = self.events else { return events };
        for _ in 0..1000 {
            // SAFETY: all zero is an empty event.
            let mut event: nvmlEventData_t = unsafe { std::mem::zeroed() };
            let error = call!(lib, nvmlEventSetWait_v2, set, &raw mut event, 0);
            if error != 0 {
                if error != TIMEOUT {
                    self.watched.clear();
                }
                break;
            }
            if let Some(uuid) = self.watched.get(&(event.device as usize)) {
                events.push((uuid.clone(), event.eventData as f64));
            }
        }
        events
    }
}
