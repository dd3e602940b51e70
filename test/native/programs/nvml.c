// A small libnvidia-ml.so.1: the calls that are asked, with the types and values of NVIDIA's nvml.h (API 11 to 13) written down
// anew. What it says is in the file CONTROL, a `name value` a line, read at each call:
//
//   gpus 2      how many        lost 1    the second fell off the bus    gone 1    the driver is unloaded
//   mig 0       the first is divided      t 3    what counters have counted so far    slow 500   ms each count takes
//   xid 79      an error of the first GPU, once each time the value changes
//
// -DOLD: a driver of before 2018: no energy, no GPM, no event reasons, no instances.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int nvmlReturn_t;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT = 7, NOT_LOADED = 9, TIMEOUT = 10, LOST = 15 };
typedef struct device { int index, instance; } *nvmlDevice_t;
typedef struct { char busIdLegacy[16]; unsigned domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]; } nvmlPciInfo_t;
typedef struct { unsigned gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned pid; unsigned long long usedGpuMemory; unsigned gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;
typedef struct { unsigned pid; unsigned long long timeStamp; unsigned smUtil, memUtil, encUtil, decUtil; } nvmlProcessUtilizationSample_t;
typedef union { double dVal; int siVal; unsigned uiVal; unsigned long ulVal; unsigned long long ullVal; long long sllVal; unsigned short usVal; } nvmlValue_t;
typedef struct { unsigned fieldId, scopeId; long long timestamp, latencyUsec; int valueType; nvmlReturn_t nvmlReturn; nvmlValue_t value; } nvmlFieldValue_t;
typedef struct { nvmlDevice_t device; unsigned long long eventType, eventData; unsigned gpuInstanceId, computeInstanceId; } nvmlEventData_t;
typedef struct { unsigned metricId; nvmlReturn_t nvmlReturn; double value; struct { char *shortName, *longName, *unit; } metricInfo; } nvmlGpmMetric_t;
typedef struct { long t; } *nvmlGpmSample_t;
typedef struct { unsigned version, numMetrics; nvmlGpmSample_t sample1, sample2; nvmlGpmMetric_t metrics[98]; } nvmlGpmMetricsGet_t;
typedef struct { unsigned version, isSupportedDevice; } nvmlGpmSupport_t;
#define API __attribute__((visibility("default")))
#define GIB (1ULL << 30)

static int started;
static struct device gpus[8] = {{0, -1}, {1, -1}, {2, -1}, {3, -1}}, parts[2] = {{0, 3}, {0, 7}};

static long knob(const char *name, long otherwise) {
  char word[32];
  long value;
  FILE *file = fopen(CONTROL, "r");
  if (!file) return otherwise;
  while (fscanf(file, "%31s %ld", word, &value) == 2)
    if (!strcmp(word, name)) otherwise = value;
  fclose(file);
  return otherwise;
}
static nvmlReturn_t ready(nvmlDevice_t d) {
  if (!started || knob("gone", 0)) return UNINITIALIZED;
  return d && d->index == knob("lost", -1) ? LOST : SUCCESS;
}
#define READY(d) { nvmlReturn_t r = ready(d); if (r) return r; }
static int divided(nvmlDevice_t d) { return d->index == knob("mig", -1); }

API nvmlReturn_t nvmlInit_v2(void) {
  FILE *log = fopen(CONTROL ".log", "a");
  fputs("init\n", log);
  fclose(log);
  if (knob("gone", 0)) return NOT_LOADED;
  started = 1;
  return SUCCESS;
}
API nvmlReturn_t nvmlShutdown(void) { started = 0; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
  READY(0);
  usleep(knob("slow", 0) * 1000);
  *count = knob("gpus", 2);
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned i, nvmlDevice_t *d) {
  *d = &gpus[i];
  return ready(*d);
}
API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *uuid, unsigned length) {
  READY(d);
  if (d->instance < 0) snprintf(uuid, length, "GPU-0000000%d-1111-2222-3333-444444444444", d->index);
  else snprintf(uuid, length, "MIG-0000000%d-%d111-2222-3333-444444444444", d->index, d->instance);
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *pci) {
  READY(d);
  snprintf(pci->busId, sizeof pci->busId, "00000000:%02X:00.0", 0x65 + d->index);
  snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", 0x65 + d->index);
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u) {
  READY(d);
  if (divided(d)) return NOT_SUPPORTED;
  u->gpu = 90 + d->index, u->memory = 40;
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) {
  READY(d);
  m->total = d->instance < 0 ? 80 * GIB : 20 * GIB;
  m->used = d->instance < 0 ? 30 * GIB : d->instance * GIB;
  m->free = m->total - m->used;
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t d, unsigned *mw) { READY(d); *mw = 321500; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t d, unsigned *mw) { READY(d); *mw = 700000; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t d, int sensor, unsigned *t) { READY(d); *t = 61; return sensor ? INVALID : SUCCESS; }
API nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t d, int type, unsigned *mhz) { READY(d); *mhz = type == 1 ? 1755 : type == 2 ? 2619 : 1; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, int type, unsigned *mhz) { READY(d); *mhz = type == 1 ? 1980 : 1; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, int uncorrected, int aggregate, unsigned long long *n) {
  READY(d);
  if (d->index == 1) return NOT_SUPPORTED;
  *n = (uncorrected ? 1 : 20) * knob("t", 0) + (aggregate ? 5000 : 0);
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t d, int received, unsigned *kb) { READY(d); *kb = received ? 7000 : 3000; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t d, int count, nvmlFieldValue_t *v) {
  READY(d);
  for (int i = 0; i < count; i++) {
    long t = knob("t", 0);
    v[i].nvmlReturn = SUCCESS;
    if (v[i].fieldId == 82) v[i].valueType = 1, v[i].value.uiVal = 78;
    else if (v[i].fieldId == 197 || v[i].fieldId == 198) v[i].valueType = 1, v[i].value.uiVal = 12345;
    else if ((v[i].fieldId == 138 || v[i].fieldId == 139) && v[i].scopeId == ~0u) v[i].valueType = 3, v[i].value.ullVal = t * 1000000 * (v[i].fieldId - 137);
    else v[i].nvmlReturn = NOT_SUPPORTED;
  }
  return SUCCESS;
}
static nvmlReturn_t processes(nvmlDevice_t d, unsigned *count, nvmlProcessInfo_t *infos) {
  READY(d);
  unsigned n = knob("processes", 2), room = *count;
  *count = n;
  if (n > room) return INSUFFICIENT;
  for (unsigned i = 0; i < n; i++) infos[i] = (nvmlProcessInfo_t){4000 + i, i ? ~0ULL : 8 * GIB, ~0u, ~0u};
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *i) { return processes(d, n, i); }
API nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t d, nvmlProcessUtilizationSample_t *s, unsigned *count, unsigned long long since) {
  READY(d);
  if (divided(d)) return NOT_SUPPORTED;
  unsigned long long newest = 1000 + 10 * knob("t", 0);
  if (since >= newest) return NOT_FOUND;
  if (*count < 2) return *count = 2, INSUFFICIENT;
  s[0] = (nvmlProcessUtilizationSample_t){4000, newest - 1, 60, 10, 0, 0};
  s[1] = (nvmlProcessUtilizationSample_t){4000, newest, 80, 10, 0, 0};
  return *count = 2, SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t d, unsigned long long *r) { READY(d); *r = d->index ? 1 : 4; return SUCCESS; }
#ifndef OLD
API nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t d, unsigned long long *r) { READY(d); *r = d->index ? 1 : 4; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *i) { return processes(d, n, i); }
API nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *i) { READY(d); *n = 0; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t d, unsigned long long *mj) { READY(d); *mj = 1000000000ULL + 400000 * knob("t", 0); return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *now, unsigned *pending) { READY(d); *now = *pending = divided(d); return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned *n) { READY(d); *n = 7; return SUCCESS; }
API nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned i, nvmlDevice_t *part) {
  READY(d);
  if (i > 1) return NOT_FOUND;
  *part = &parts[i];
  return SUCCESS;
}
API nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned *id) { READY(d); *id = d->instance; return d->instance < 0 ? INVALID : SUCCESS; }
API nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned *id) { READY(d); *id = 0; return SUCCESS; }
API nvmlReturn_t nvmlEventSetCreate(void **set) { *set = calloc(1, 8); return SUCCESS; }
API nvmlReturn_t nvmlEventSetFree(void *set) { free(set); return SUCCESS; }
API nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, void *set) { READY(d); return types == 8 ? SUCCESS : INVALID; }
API nvmlReturn_t nvmlEventSetWait_v2(void *set, nvmlEventData_t *event, unsigned ms) {
  static long said;
  READY(0);
  if (ms) exit(3); // it would have been waited for
  long xid = knob("xid", 0);
  if (xid == said) return TIMEOUT;
  said = xid;
  *event = (nvmlEventData_t){&gpus[0], 8, xid, ~0u, ~0u};
  return SUCCESS;
}
API nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t d, nvmlGpmSupport_t *s) { READY(d); s->isSupportedDevice = d->index == 0; return s->version == 1 ? SUCCESS : INVALID; }
API nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *s) { *s = calloc(1, sizeof **s); return SUCCESS; }
API nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t s) { free(s); return SUCCESS; }
API nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t d, nvmlGpmSample_t s) { READY(d); s->t = 0; return divided(d) ? NOT_SUPPORTED : SUCCESS; }
API nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t d, unsigned instance, nvmlGpmSample_t s) { READY(d); s->t = instance; return SUCCESS; }
API nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *g) {
  if (g->version != 1 || !g->sample1 || !g->sample2 || g->sample1 == g->sample2) return INVALID;
  for (unsigned i = 0; i < g->numMetrics; i++) {
    nvmlGpmMetric_t *m = &g->metrics[i];
    m->nvmlReturn = m->metricId == 13 ? NOT_SUPPORTED : SUCCESS;
    m->value = m->metricId >= 20 ? 100.0 * m->metricId : m->metricId * 5.0 + g->sample2->t;
  }
  return SUCCESS;
}
#endif
