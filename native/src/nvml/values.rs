//! What a GPU tells of itself, call by call.
use super::call;
use super::device::{COUNTERS, Gpu, LINKS, text};
use nvml_wrapper_sys::bindings::{
    NvmlLib, field_id, nvmlDevice_t, nvmlFieldValue_t, nvmlMemory_t, nvmlPciInfo_t, nvmlUtilization_t,
};
use std::ffi::c_char;

/// Power cap, slowdown by hardware or heat, power brake; not: idle, clocks that somebody has set.
const SLOWED: u64 = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
const TYPE_64_BITS: [u32; 2] = [2, 3];
const ALL_LINKS: u32 = u32::MAX;

pub fn uuid(lib: &NvmlLib, device: nvmlDevice_t) -> String {
    let mut bytes = [0 as c_char; 96];
    call!(lib, nvmlDeviceGetUUID, device, bytes.as_mut_ptr(), bytes.len() as u32);
    text(&bytes)
}

pub fn name(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    // SAFETY: all zero is an empty answer.
    let mut pci: nvmlPciInfo_t = unsafe { std::mem::zeroed() };
    gpu.error = call!(lib, nvmlDeviceGetPciInfo_v3, device, &raw mut pci);
    gpu.bus = text(&pci.busId);
    gpu.uuid = uuid(lib, device);
}

pub fn read_use(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    let mut busy = nvmlUtilization_t { gpu: 0, memory: 0 };
    let error = call!(lib, nvmlDeviceGetUtilizationRates, device, &raw mut busy);
    gpu.set("utilization", error, f64::from(busy.gpu) / 100.0);
    gpu.set("memory_busy", error, f64::from(busy.memory) / 100.0);
    read_memory(lib, device, gpu);
}

/// The first version of the call: `used` has what the driver keeps for itself in it, as nvidia-smi shows it.
pub fn read_memory(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
    let error = call!(lib, nvmlDeviceGetMemoryInfo, device, &raw mut memory);
    gpu.set("memory_used", error, memory.used as f64);
    gpu.set("memory_total", error, memory.total as f64);
}

/// By the energy that was used, and only where it is not counted by what is drawn at the moment.
pub fn read_power(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    let (mut millijoules, mut milliwatts, mut limit) = (0, 0, 0);
    let error = call!(lib, nvmlDeviceGetTotalEnergyConsumption, device, &raw mut millijoules);
    gpu.count("power_watts", error, millijoules as f64 / 1000.0);
    if error != 0 {
        let error = call!(lib, nvmlDeviceGetPowerUsage, device, &raw mut milliwatts);
        gpu.set("power_watts", error, f64::from(milliwatts) / 1000.0);
    }
    let error = call!(lib, nvmlDeviceGetEnforcedPowerLimit, device, &raw mut limit);
    gpu.set("power_limit_watts", error, f64::from(limit) / 1000.0);
}

pub fn read_clocks(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    let (sm, memory, mut value, mut reasons) = (1, 2, 0, 0);
    let error = call!(lib, nvmlDeviceGetTemperature, device, 0, &raw mut value);
    gpu.set("temperature", error, f64::from(value));
    let error = call!(lib, nvmlDeviceGetClockInfo, device, sm, &raw mut value);
    gpu.set("clock_hz", error, f64::from(value) * 1e6);
    let error = call!(lib, nvmlDeviceGetMaxClockInfo, device, sm, &raw mut value);
    gpu.set("clock_limit_hz", error, f64::from(value) * 1e6);
    let error = call!(lib, nvmlDeviceGetClockInfo, device, memory, &raw mut value);
    gpu.set("memory_clock_hz", error, f64::from(value) * 1e6);
    // the newer name, since 535, then the older one
    let mut error = call!(lib, nvmlDeviceGetCurrentClocksEventReasons, device, &raw mut reasons);
    if error == super::FUNCTION_NOT_FOUND {
        error = call!(lib, nvmlDeviceGetCurrentClocksThrottleReasons, device, &raw mut reasons);
    }
    gpu.set("throttled", error, if reasons & SLOWED == 0 { 0.0 } else { 1.0 });
}

pub fn read_errors(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    // since the driver was loaded
    let volatile = 0;
    for (kind, column) in [(0, "ecc_corrected"), (1, "ecc_uncorrected")] {
        let mut errors = 0;
        let error = call!(lib, nvmlDeviceGetTotalEccErrors, device, kind, volatile, &raw mut errors);
        gpu.count(column, error, errors as f64);
    }
}

/// Asks for fields; what each says is in the answer.
fn fields<const N: usize>(lib: &NvmlLib, device: nvmlDevice_t, wanted: [(u32, u32); N]) -> [nvmlFieldValue_t; N] {
    let mut values = wanted.map(|(field, scope)| {
        // SAFETY: all zero is an empty field.
        let empty: nvmlFieldValue_t = unsafe { std::mem::zeroed() };
        nvmlFieldValue_t { fieldId: field, scopeId: scope, ..empty }
    });
    let error = call!(lib, nvmlDeviceGetFieldValues, device, N as i32, values.as_mut_ptr());
    if error != 0 {
        for value in &mut values {
            value.nvmlReturn = error;
        }
    }
    values
}

fn number(field: &nvmlFieldValue_t) -> f64 {
    // SAFETY: the type says which member was filled; each is plain data.
    unsafe {
        match field.valueType {
            0 => field.value.dVal,
            2 => field.value.ulVal as f64,
            3 => field.value.ullVal as f64,
            4 => field.value.sllVal as f64,
            5 => f64::from(field.value.siVal),
            6 => f64::from(field.value.usVal),
            _ => f64::from(field.value.uiVal),
        }
    }
}

/// What GPM has not told: by counters, and PCIe by a look of 20 ms where these wrap within the second.
pub fn read_links(lib: &NvmlLib, device: nvmlDevice_t, gpu: &mut Gpu) {
    use field_id::{
        NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
        NVML_FI_DEV_PCIE_COUNT_RX_BYTES, NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
    };
    let wanted = [
        (NVML_FI_DEV_MEMORY_TEMP, 0),
        (NVML_FI_DEV_PCIE_COUNT_RX_BYTES, 0),
        (NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 0),
        (NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
        (NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
    ];
    let [memory, links @ ..] = fields(lib, device, wanted);
    gpu.set("memory_temperature", memory.nvmlReturn, number(&memory));
    for (link, field) in links.iter().enumerate() {
        if !gpu.rates[link].is_nan() {
            continue;
        }
        let (is_pcie, is_wide) = (link < 2, TYPE_64_BITS.contains(&field.valueType));
        if is_pcie && (field.nvmlReturn != 0 || !is_wide) {
            // 0: transmitted, 1: received
            let (direction, mut kilobytes) = (if link == 0 { 1 } else { 0 }, 0);
            let error = call!(lib, nvmlDeviceGetPcieThroughput, device, direction, &raw mut kilobytes);
            match error {
                0 => gpu.rates[link] = f64::from(kilobytes) * 1000.0,
                _ => gpu.count(COUNTERS[LINKS.start + link], error, 0.0),
            }
        } else {
            let bytes = number(field) * if is_pcie { 1.0 } else { 1024.0 };
            gpu.count(COUNTERS[LINKS.start + link], field.nvmlReturn, bytes);
        }
    }
}
