//! Programs without a system call, as on a kernel that does not have it, or in a container that forbids it.

use nix::libc;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Has the program, and all that it starts, get this error from these calls.
pub(crate) fn deny(command: &mut Command, calls: &[i64], errno: i32) {
    let filter = filter(calls, errno);
    // SAFETY: two plain system calls between fork and exec, on memory that was made before.
    unsafe {
        command.pre_exec(move || install(&filter));
    }
}

fn filter(calls: &[i64], errno: i32) -> Vec<libc::sock_filter> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The number of the call is the first field.
    let mut filter = vec![step(LOAD, 0, 0, 0)];
    for call in calls {
        filter.push(step(JUMP_IF_EQUAL, 0, 1, u32::try_from(*call).expect("a system call")));
        filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()));
    }
    filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the filter lives until the call returns, and the kernel copies it.
    let is_installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    };
    if is_installed { Ok(()) } else { Err(io::Error::last_os_error()) }
}
