//! A file descriptor in Node's event loop: a function of JavaScript is called while it is readable. libuv's ABI is stable within
//! its major version, which all of Node's are of. https://docs.libuv.org/en/v1.x/poll.html
use napi::bindgen_prelude::{Env, FunctionRef, JsValue};
use napi::{Error, Result, sys};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

type Callback = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
type Closed = unsafe extern "C" fn(handle: *mut c_void);

unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: *mut c_void, data: *mut c_void);
    fn uv_handle_get_data(handle: *const c_void) -> *mut c_void;
    fn uv_poll_init(uv_loop: *mut c_void, handle: *mut c_void, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut c_void, events: c_int, callback: Callback) -> c_int;
    fn uv_poll_stop(handle: *mut c_void) -> c_int;
    fn uv_unref(handle: *mut c_void);
    fn uv_close(handle: *mut c_void, closed: Closed);
}

struct Target {
    env: sys::napi_env,
    on_ready: FunctionRef<(), ()>,
}

/// Until it is dropped; the process does not go on for it alone.
pub struct Poll {
    handle: *mut c_void,
}

impl Poll {
    pub fn start(env: &Env, fd: RawFd, on_ready: FunctionRef<(), ()>) -> Result<Poll> {
        let mut uv_loop = std::ptr::null_mut();
        let failed = |what: &str| Err(Error::from_reason(format!("{what} of Node's event loop failed")));
        // SAFETY: in Node's thread; the handle is as large as libuv says, and lives until it says that it is closed.
        unsafe {
            if sys::napi_get_uv_event_loop(env.raw(), &mut uv_loop) != sys::Status::napi_ok {
                return failed("napi_get_uv_event_loop");
            }
            let handle = libc::calloc(1, uv_handle_size(UV_POLL));
            if handle.is_null() || uv_poll_init(uv_loop.cast(), handle, fd) != 0 {
                libc::free(handle);
                return failed("uv_poll_init");
            }
            let poll = Poll { handle };
            uv_handle_set_data(handle, Box::into_raw(Box::new(Target { env: env.raw(), on_ready })).cast());
            uv_unref(handle);
            if uv_poll_start(handle, UV_READABLE, ready) != 0 { failed("uv_poll_start") } else { Ok(poll) }
        }
    }

    /// Nothing is called until resume().
    pub fn pause(&self) {
        // SAFETY: in Node's thread, and the handle is open.
        unsafe { uv_poll_stop(self.handle) };
    }

    pub fn resume(&self) {
        // SAFETY: as above; it fails only for handles that are closed.
        unsafe { uv_poll_start(self.handle, UV_READABLE, ready) };
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // SAFETY: it is open: nothing else closes it. No call comes after this.
        unsafe { uv_close(self.handle, freed) };
    }
}

unsafe extern "C" fn freed(handle: *mut c_void) {
    // SAFETY: made in start(), and libuv is through with it.
    unsafe {
        drop(Box::from_raw(uv_handle_get_data(handle).cast::<Target>()));
        libc::free(handle);
    }
}

/// What JavaScript does in it may close the handle: nothing of it is touched after the call.
unsafe extern "C" fn ready(handle: *mut c_void, _status: c_int, _events: c_int) {
    // SAFETY: in Node's thread, with the target that start() set; libuv does not free a handle within its own callback.
    unsafe {
        let target = &*uv_handle_get_data(handle).cast::<Target>();
        let env = target.env;
        let mut scope = std::ptr::null_mut();
        if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
            return;
        }
        let mut global = std::ptr::null_mut();
        sys::napi_get_global(env, &mut global);
        if let Ok(function) = target.on_ready.borrow_back(&Env::from_raw(env)) {
            let (mut result, mut thrown) = (std::ptr::null_mut(), std::ptr::null_mut());
            let (context, none) = (std::ptr::null_mut(), std::ptr::null());
            // Unlike a plain call, it lets promises and process.nextTick() go on when it is through.
            let status = sys::napi_make_callback(env, context, global, function.raw(), 0, none, &mut result);
            if status == sys::Status::napi_pending_exception
                && sys::napi_get_and_clear_last_exception(env, &mut thrown) == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(env, thrown);
            }
        }
        sys::napi_close_handle_scope(env, scope);
    }
}
