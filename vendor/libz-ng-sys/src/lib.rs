//! Stands in for the C library `zlib-ng`, so that Keyward builds without cmake.
//!
//! `pingora-core` asks `flate2` for its `zlib-ng` backend, whose sys crate compiles C code with cmake. This crate has
//! that sys crate's name and the part of its interface which `flate2` uses, and passes every call to `zlib-rs`, a
//! complete zlib in Rust. Keyward itself never compresses; what pingora compresses, works.
//!
//! The one difference between the two interfaces is that `zlib-rs` writes the allocator pointers as `Option<fn>` and
//! `zlib-ng` as `fn`. Both have the same layout, which the assertions below check at compile time.
#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::mem::{align_of, offset_of, size_of};

pub use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH, Z_MEM_ERROR,
    Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR, Z_SYNC_FLUSH, internal_state,
    zlibVersion,
};

pub type uInt = c_uint;
pub type alloc_func = unsafe extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void;
pub type free_func = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// The stream state shared between caller and library; zlib's own layout.
#[repr(C)]
pub struct z_stream {
    pub next_in: *mut u8,
    pub avail_in: c_uint,
    pub total_in: c_ulong,
    pub next_out: *mut u8,
    pub avail_out: c_uint,
    pub total_out: c_ulong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

const _: () = {
    type Theirs = libz_rs_sys::z_stream;
    assert!(size_of::<z_stream>() == size_of::<Theirs>());
    assert!(align_of::<z_stream>() == align_of::<Theirs>());
    assert!(offset_of!(z_stream, total_in) == offset_of!(Theirs, total_in));
    assert!(offset_of!(z_stream, total_out) == offset_of!(Theirs, total_out));
    assert!(offset_of!(z_stream, zalloc) == offset_of!(Theirs, zalloc));
    assert!(offset_of!(z_stream, zfree) == offset_of!(Theirs, zfree));
    assert!(offset_of!(z_stream, adler) == offset_of!(Theirs, adler));
    assert!(offset_of!(z_stream, reserved) == offset_of!(Theirs, reserved));
};

/// Passes each named function on to `zlib-rs`, the stream pointer cast to its type.
macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: *mut z_stream, $($arg: $ty),*) -> c_int {
            // SAFETY: the caller's contract is zlib's own; the layouts are equal by the assertions above.
            unsafe { libz_rs_sys::$name(stream.cast(), $($arg),*) }
        }
    )*};
}

forward! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const u8, length: c_uint);
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, mem_level: c_int, strategy: c_int,
        version: *const c_char, stream_size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset();
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const u8, length: c_uint);
    inflateInit2_(window_bits: c_int, version: *const c_char, stream_size: c_int);
}
