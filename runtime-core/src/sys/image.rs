//! This program's own memory: its segments mapped anew from another file, with that file as `/proc/self/exe`, and the
//! stack that it no longer needs.

use super::files::{cwd, openat2};
use super::{Call, Failed, Result, check};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Makes `file`, which has to be this very program's file by another mount, the one that this process runs from.
///
/// For a process of one thread: while a writable segment is exchanged nobody may write to it.
///
/// `prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0)`, PR_SET_MM(2const): with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in
/// the user namespace, on kernels with CONFIG_CHECKPOINT_RESTORE, and not before the last mapping of the old file is gone.
pub(crate) fn run_from(file: BorrowedFd<'_>) -> Result<()> {
    let map = MemoryMap::own(file)?;
    match map.set() {
        // It would be allowed: what is left to do is to map everything anew.
        Err(Failed { errno: Errno::EBUSY, .. }) => {}
        other => return other,
    }
    let image = Image::own()?;
    for header in image.headers {
        if header.p_type == libc::PT_LOAD && header.p_filesz > 0 {
            image.map_again(header, file)?;
        }
    }
    // What the dynamic linker, or the start-up code of a static program, had made read-only after its relocations.
    for header in image.headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO) {
        let start = image.page_below(image.base + header.p_vaddr);
        let end = image.page_below(image.base + header.p_vaddr + header.p_memsz);
        protect(start, end - start)?;
    }
    map.set()
}

/// `struct prctl_mm_map`: what the kernel remembers of a program's start, and its file. All but the file stays as it is.
#[repr(C)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *const u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl MemoryMap {
    fn own(file: BorrowedFd<'_>) -> Result<MemoryMap> {
        let stat = openat2(cwd(), c"/proc/self/stat", libc::O_RDONLY, 0, 0)?;
        let mut text = [0; 1024];
        let length = nix::unistd::read(stat, &mut text).map_err(Failed::from(Call::Read))?;
        let text = text.get(..length).unwrap_or(&[]);
        // The name, field 2, may itself have spaces and parentheses (proc_pid_stat(5)).
        let after_name = text.rsplit(|&byte| byte == b')').next().unwrap_or(&[]);
        let mut fields = [0; 52];
        for (field, word) in fields.iter_mut().skip(1).zip(after_name.split(|&byte| byte == b' ')) {
            *field = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()).unwrap_or(0);
        }
        let field = |number: usize| fields.get(number - 1).copied().unwrap_or(0);
        Ok(MemoryMap {
            start_code: field(26),
            end_code: field(27),
            start_data: field(45),
            end_data: field(46),
            start_brk: field(47),
            // SAFETY: a break of 0 is refused, and the refusal tells the one there is.
            brk: unsafe { libc::syscall(libc::SYS_brk, 0usize) }.unsigned_abs(),
            start_stack: field(28),
            arg_start: field(48),
            arg_end: field(49),
            env_start: field(50),
            env_end: field(51),
            auxv: std::ptr::null(),
            auxv_size: 0,
            exe_fd: file.as_raw_fd().unsigned_abs(),
        })
    }

    fn set(&self) -> Result<()> {
        let this: *const MemoryMap = self;
        // SAFETY: the kernel reads the struct, whose size is given, and checks that nothing of the old file is mapped.
        let value = unsafe {
            libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, this, size_of::<MemoryMap>(), 0usize)
        };
        check(Call::Prctl, i64::from(value)).map(drop)
    }
}

/// Where the program lies in memory; elf(5).
struct Image {
    /// What was added to the addresses in the file.
    base: u64,
    headers: &'static [libc::Elf64_Phdr],
    page_size: u64,
}

impl Image {
    fn own() -> Result<Image> {
        extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
            // SAFETY: libc passes a struct that is valid during this call, and the pointer given below.
            unsafe { *found.cast::<Option<libc::dl_phdr_info>>() = Some(*info) };
            1
        }
        let mut found: Option<libc::dl_phdr_info> = None;
        // SAFETY: the callback stops at the first object, which is the program itself; `found` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
        // SAFETY: reads a number that the kernel gave at the start of the program.
        let page_size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
        match found {
            Some(info) if !info.dlpi_phdr.is_null() && page_size.is_power_of_two() => Ok(Image {
                base: info.dlpi_addr,
                // SAFETY: the program's headers are part of its first segment, mapped for its whole life.
                headers: unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) },
                page_size,
            }),
            _ => Err(Failed::new(Call::Mmap, Errno::ENOEXEC)),
        }
    }

    fn page_below(&self, address: u64) -> u64 {
        address & !(self.page_size - 1)
    }

    /// One segment, with the same content at the same place.
    fn map_again(&self, header: &libc::Elf64_Phdr, file: BorrowedFd<'_>) -> Result<()> {
        let start = self.page_below(self.base + header.p_vaddr);
        let end = self.page_below(self.base + header.p_vaddr + header.p_filesz + self.page_size - 1);
        let offset = self.page_below(header.p_offset);
        if header.p_flags & libc::PF_W == 0 {
            let flag = |elf: u32, map: c_int| if header.p_flags & elf == 0 { 0 } else { map };
            let protection = flag(libc::PF_R, libc::PROT_READ) | flag(libc::PF_X, libc::PROT_EXEC);
            return map(file, start, end - start, protection, libc::MAP_FIXED, offset).map(drop);
        }
        let copy = map(file, 0, end - start, libc::PROT_READ | libc::PROT_WRITE, 0, offset)?;
        // Pages that were never written stay the file's: they cost no memory.
        for page in (0..end - start).step_by(usize::try_from(self.page_size).unwrap_or(4096)) {
            let (from, to) = ((start + page) as *const c_void, (copy + page) as *mut c_void);
            let length = usize::try_from(self.page_size).unwrap_or(0);
            // SAFETY: both are pages of mappings that cover `page`; the segment's are readable, the copy is ours.
            unsafe {
                if libc::memcmp(from, to, length) != 0 {
                    libc::memcpy(to, from, length);
                }
            }
        }
        let length = usize::try_from(end - start).unwrap_or(0);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the copy takes the place of what it is a copy of, in one call, and no other thread could have
        // written to that since. Nobody holds a pointer to where the copy was.
        let moved = unsafe { libc::mremap(copy as *mut c_void, length, length, flags, start as *mut c_void) };
        if moved == libc::MAP_FAILED { Err(Failed::new(Call::Mmap, Errno::last())) } else { Ok(()) }
    }
}

fn map(
    file: BorrowedFd<'_>,
    address: u64,
    length: u64,
    protection: c_int,
    flags: c_int,
    offset: u64,
) -> Result<u64> {
    let (length, offset) = (usize::try_from(length).unwrap_or(0), i64::try_from(offset).unwrap_or(-1));
    let flags = flags | libc::MAP_PRIVATE;
    // SAFETY: either a place of the kernel's choice, or one of this program's read-only segments, which gets the same
    // bytes of the same file: the code that runs there meanwhile does not change.
    let mapped =
        unsafe { libc::mmap(address as *mut c_void, length, protection, flags, file.as_raw_fd(), offset) };
    if mapped == libc::MAP_FAILED { Err(Failed::new(Call::Mmap, Errno::last())) } else { Ok(mapped as u64) }
}

fn protect(start: u64, length: u64) -> Result<()> {
    let length = usize::try_from(length).unwrap_or(0);
    // SAFETY: pages of this program that were read-only before they were mapped anew.
    let value = unsafe { libc::mprotect(start as *mut c_void, length, libc::PROT_READ) };
    check(Call::Mmap, i64::from(value)).map(drop)
}

/// Gives back the part of the main thread's stack that lies below this frame: what deep calls before the clone have left
/// there. For a cloned process that is about to wait.
///
/// `madvise(start, length, MADV_DONTNEED)`, madvise(2).
#[inline(never)] // inside another function's frame it would take away what that function has below
pub(crate) fn give_back_stack() {
    const AT_MOST: usize = 512 * 1024;
    let mark = 0u8;
    let here = &raw const mark as usize;
    // SAFETY: reads the address of 16 bytes that the kernel put above the main thread's first frame.
    let top = usize::try_from(unsafe { libc::getauxval(libc::AT_RANDOM) }).unwrap_or(0);
    // The stack of another thread is somewhere else, with other memory next to it.
    if !(here..here.saturating_add(AT_MOST)).contains(&top) {
        return;
    }
    // A page for the rest of this frame and what is called from here.
    let end = (here & !4095).saturating_sub(4096);
    // SAFETY: nobody uses the stack below the current frame, and the kernel keeps other mappings away from it by more than
    // this (stack_guard_gap, a megabyte). That some of it is not mapped is a failure without effect.
    unsafe { libc::madvise((end - AT_MOST) as *mut c_void, AT_MOST, libc::MADV_DONTNEED) };
}
