//! GPM, of Hopper and later: what the parts of a GPU did between two samples.
//! https://docs.nvidia.com/deploy/nvml-api/group__nvmlGpmStructs.html
use super::device::Gpu;
use super::{NOT_SUPPORTED, call};
use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, NvmlLib, nvmlDevice_t, nvmlGpmMetricsGet_t,
    nvmlGpmSample_t, nvmlGpmSupport_t, nvmlReturn_t,
};

/// Metric -> column, of percent.
const SHARES: [(u32, &str); 7] = [
    (2, "sm_active"),
    (3, "sm_occupancy"),
    (5, "tensor_active"),
    (10, "memory_bandwidth"),
    (11, "fp64_active"),
    (12, "fp32_active"),
    (13, "fp16_active"),
];
/// Share of time with any work: all that there is of an instance's utilisation.
const GRAPHICS_UTIL: u32 = 1;
/// Of MiB/s: PCIe in and out, NVLink in and out.
const LINKS: [u32; 4] = [21, 20, 60, 61];
const MIB: f64 = 1_048_576.0;

#[derive(Default)]
pub struct Gpm {
    /// Why there is none; not known before the first look.
    refused: Option<nvmlReturn_t>,
    before: Option<nvmlGpmSample_t>,
    spare: Option<nvmlGpmSample_t>,
}

// SAFETY: samples are memory of the library, and used by the thread that has the session.
unsafe impl Send for Gpm {}

impl Gpm {
    /// `instance`: of MIG; the device is its GPU.
    pub fn read(&mut self, lib: &NvmlLib, device: nvmlDevice_t, instance: Option<u32>, gpu: &mut Gpu) {
        let refused = *self.refused.get_or_insert_with(|| refusal(lib, device));
        let taken = if refused == 0 { self.take(lib, device, instance) } else { Err(refused) };
        match taken {
            Ok(Some((before, now))) => tell(lib, before, now, instance, gpu),
            // the first look
            Ok(None) => {}
            Err(error) => {
                for (_, column) in SHARES {
                    gpu.set(column, error, 0.0);
                }
            }
        }
    }

    /// The sample before and one of now, which is kept.
    fn take(
        &mut self,
        lib: &NvmlLib,
        device: nvmlDevice_t,
        instance: Option<u32>,
    ) -> Result<Option<(nvmlGpmSample_t, nvmlGpmSample_t)>, nvmlReturn_t> {
        let sample = match self.spare.take() {
            Some(sample) => sample,
            None => allocate(lib)?,
        };
        let error = match instance {
            Some(instance) => call!(lib, nvmlGpmMigSampleGet, device, instance, sample),
            None => call!(lib, nvmlGpmSampleGet, device, sample),
        };
        if error != 0 {
            self.spare = Some(sample);
            return Err(error);
        }
        let before = self.before.replace(sample);
        self.spare = before;
        Ok(before.map(|before| (before, sample)))
    }

    pub fn close(self, lib: &NvmlLib) {
        for sample in [self.before, self.spare].into_iter().flatten() {
            call!(lib, nvmlGpmSampleFree, sample);
        }
    }
}

fn allocate(lib: &NvmlLib) -> Result<nvmlGpmSample_t, nvmlReturn_t> {
    let mut sample: nvmlGpmSample_t = std::ptr::null_mut();
    let error = call!(lib, nvmlGpmSampleAlloc, &raw mut sample);
    if error == 0 { Ok(sample) } else { Err(error) }
}

fn refusal(lib: &NvmlLib, device: nvmlDevice_t) -> nvmlReturn_t {
    let mut support = nvmlGpmSupport_t { version: NVML_GPM_SUPPORT_VERSION, isSupportedDevice: 0 };
    match call!(lib, nvmlGpmQueryDeviceSupport, device, &raw mut support) {
        0 if support.isSupportedDevice == 0 => NOT_SUPPORTED,
        error => error,
    }
}

fn tell(lib: &NvmlLib, before: nvmlGpmSample_t, now: nvmlGpmSample_t, instance: Option<u32>, gpu: &mut Gpu) {
    // SAFETY: all zero is an empty question.
    let mut question: Box<nvmlGpmMetricsGet_t> = Box::new(unsafe { std::mem::zeroed() });
    let ids = SHARES.iter().map(|(id, _)| *id).chain(LINKS).chain([GRAPHICS_UTIL]);
    question.version = NVML_GPM_METRICS_GET_VERSION;
    (question.sample1, question.sample2) = (before, now);
    for (metric, id) in question.metrics.iter_mut().zip(ids) {
        metric.metricId = id;
        question.numMetrics += 1;
    }
    let error = call!(lib, nvmlGpmMetricsGet, &raw mut *question);
    let answer = |at: usize| {
        let metric = &question.metrics[at];
        let error = if error == 0 { metric.nvmlReturn } else { error };
        (if error == 0 && !metric.value.is_finite() { NOT_SUPPORTED } else { error }, metric.value)
    };
    for (at, (_, column)) in SHARES.iter().enumerate() {
        let (error, percent) = answer(at);
        gpu.set(column, error, percent / 100.0);
    }
    for link in 0..LINKS.len() {
        if let (0, rate) = answer(SHARES.len() + link) {
            gpu.rates[link] = rate * MIB;
        }
    }
    if instance.is_some() {
        let (error, percent) = answer(SHARES.len() + LINKS.len());
        gpu.set("utilization", error, percent / 100.0);
    }
}
