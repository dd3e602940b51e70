//! Who is on a GPU: memory of each process, and the share of time that its kernels ran.
use super::{FUNCTION_NOT_FOUND, call};
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlDevice_t, nvmlProcessInfo_t, nvmlProcessUtilizationSample_t, nvmlReturn_t,
};
use rustc_hash::FxHashMap;

const INSUFFICIENT_SIZE: nvmlReturn_t = 7;
const MOST: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuProcess {
    pub pid: u32,
    /// NaN where it is not told.
    pub memory_bytes: f64,
    /// 0..1; NaN where it is not told.
    pub utilization: f64,
}

/// Since when samples of utilisation are new, microseconds, by uuid.
#[derive(Default)]
pub struct Processes {
    seen: FxHashMap<String, u64>,
}

impl Processes {
    pub fn read(&mut self, lib: &NvmlLib, device: nvmlDevice_t, uuid: &str) -> Vec<GpuProcess> {
        let mut found: FxHashMap<u32, GpuProcess> = FxHashMap::default();
        // a process that computes and draws is in both lists, with the same memory
        for infos in [running(lib, device, true), running(lib, device, false)] {
            for info in infos {
                let told = info.usedGpuMemory != u64::MAX;
                let memory_bytes = if told { info.usedGpuMemory as f64 } else { f64::NAN };
                found.insert(info.pid, GpuProcess { pid: info.pid, memory_bytes, utilization: f64::NAN });
            }
        }
        let seen = self.seen.entry(uuid.to_string()).or_default();
        let mut sums: FxHashMap<u32, (f64, f64)> = FxHashMap::default();
        let fresh = samples(lib, device, *seen);
        for sample in fresh.iter().filter(|sample| sample.timeStamp > *seen) {
            let (sum, count) = sums.entry(sample.pid).or_default();
            *sum += f64::from(sample.smUtil.min(100)) / 100.0;
            *count += 1.0;
        }
        if let Some(newest) = fresh.iter().map(|sample| sample.timeStamp).max() {
            *seen = newest.max(*seen);
        }
        for (pid, (sum, count)) in sums {
            if let Some(process) = found.get_mut(&pid) {
                process.utilization = sum / count;
            }
        }
        found.into_values().collect()
    }
}

/// Lists grow between two calls: asked again with more room.
fn running(lib: &NvmlLib, device: nvmlDevice_t, computes: bool) -> Vec<nvmlProcessInfo_t> {
    let empty = nvmlProcessInfo_t { pid: 0, usedGpuMemory: 0, gpuInstanceId: 0, computeInstanceId: 0 };
    let mut room = 64;
    while room <= MOST {
        let (mut infos, mut count) = (vec![empty; room], room as u32);
        let at = infos.as_mut_ptr();
        let error = if computes {
            match call!(lib, nvmlDeviceGetComputeRunningProcesses_v3, device, &raw mut count, at) {
                // version 2 has the same shape; of version 1 the shape is another one
                FUNCTION_NOT_FOUND => call!(lib, nvmlDeviceGetComputeRunningProcesses_v2, device, &raw mut count, at),
                error => error,
            }
        } else {
            call!(lib, nvmlDeviceGetGraphicsRunningProcesses_v3, device, &raw mut count, at)
        };
        if error == INSUFFICIENT_SIZE {
            room = (count as usize).max(room * 2);
            continue;
        }
        infos.truncate(if error == 0 { (count as usize).min(room) } else { 0 });
        return infos;
    }
    Vec::new()
}

fn samples(lib: &NvmlLib, device: nvmlDevice_t, since: u64) -> Vec<nvmlProcessUtilizationSample_t> {
    let mut count = 0;
    let error = call!(lib, nvmlDeviceGetProcessUtilization, device, std::ptr::null_mut(), &raw mut count, since);
    if error != INSUFFICIENT_SIZE || count == 0 || count as usize > MOST {
        return Vec::new();
    }
    let empty = nvmlProcessUtilizationSample_t { pid: 0, timeStamp: 0, smUtil: 0, memUtil: 0, encUtil: 0, decUtil: 0 };
    let mut samples = vec![empty; count as usize];
    let error = call!(lib, nvmlDeviceGetProcessUtilization, device, samples.as_mut_ptr(), &raw mut count, since);
    samples.truncate(if error == 0 { count as usize } else { 0 });
    samples
}
