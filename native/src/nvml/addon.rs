//! What JavaScript sees of NVML: conversions only. collector/nvml.ts holds the same shapes as types.
use super::device::{COUNTERS, GAUGES, Gpu};
use super::{Moment, Monitor};
use napi::bindgen_prelude::Float64Array;
use napi::{Error, Result};
use napi_derive::napi;
use std::time::Duration;

#[napi(object, object_from_js = false)]
pub struct NativeGpu {
    pub uuid: String,
    pub bus: String,
    pub instance: String,
    pub ordinal: u32,
    pub error: u32,
    pub gauges: Float64Array,
    pub counters: Float64Array,
    pub rates: Float64Array,
    /// Pairs: place among gauges and counters, answer of the library.
    pub absent: Vec<u32>,
    /// Triples: pid, memory in bytes, utilisation.
    pub processes: Float64Array,
}

#[napi(object, object_from_js = false)]
pub struct NativeGpuMoment {
    pub at_ms: f64,
    pub error: u32,
    pub gpus: Vec<NativeGpu>,
}

#[napi]
pub struct NativeGpuMonitor {
    monitor: Option<Monitor>,
}

#[napi]
impl NativeGpuMonitor {
    /// Throws where the library cannot be loaded.
    #[napi(constructor)]
    pub fn new(library: String, every_ms: u32) -> Result<Self> {
        let every = Duration::from_millis(u64::from(every_ms.max(10)));
        Ok(NativeGpuMonitor { monitor: Some(Monitor::start(&library, every).map_err(Error::from_reason)?) })
    }

    #[napi]
    pub fn gauges(&self) -> Vec<String> {
        GAUGES.map(String::from).to_vec()
    }

    #[napi]
    pub fn counters(&self) -> Vec<String> {
        COUNTERS.map(String::from).to_vec()
    }

    #[napi]
    pub fn drain(&self) -> Vec<NativeGpuMoment> {
        self.monitor
            .as_ref()
            .map(|monitor| monitor.drain().into_iter().map(native_moment).collect())
            .unwrap_or_default()
    }

    #[napi]
    pub fn close(&mut self) {
        self.monitor = None;
    }
}

fn native_moment(moment: Moment) -> NativeGpuMoment {
    let Moment { at_ms, error, gpus } = moment;
    NativeGpuMoment { at_ms, error, gpus: gpus.into_iter().map(native_gpu).collect() }
}

fn native_gpu(gpu: Gpu) -> NativeGpu {
    NativeGpu {
        uuid: gpu.uuid,
        bus: gpu.bus,
        instance: gpu.mig.map(|(instance, compute)| format!("{instance}.{compute}")).unwrap_or_default(),
        ordinal: gpu.ordinal,
        error: gpu.error,
        gauges: gpu.gauges.to_vec().into(),
        counters: gpu.counters.to_vec().into(),
        rates: gpu.rates.to_vec().into(),
        absent: gpu.absent.into_iter().flat_map(|(at, error)| [at as u32, error]).collect(),
        processes: gpu
            .processes
            .iter()
            .flat_map(|p| [f64::from(p.pid), p.memory_bytes, p.utilization])
            .collect::<Vec<_>>()
            .into(),
    }
}
