//! Windows: the lock of this session (WTSRegisterSessionNotification) and sleep
//! (RegisterSuspendResumeNotification), both as messages to a window that is never shown. A
//! message-only window is not told of sleep by every version, so it is an ordinary one.
//!
//! Everything of the window happens on one thread, which is why what it has to know lies in a
//! thread-local.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ptr::null_mut;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Power::{
    RegisterSuspendResumeNotification, UnregisterSuspendResumeNotification,
};
use windows_sys::Win32::System::RemoteDesktop::{
    NOTIFY_FOR_THIS_SESSION, WTS_CURRENT_SERVER_HANDLE, WTS_CURRENT_SESSION, WTS_SESSIONSTATE_LOCK,
    WTSFreeMemory, WTSINFOEXW, WTSQuerySessionInformationW, WTSRegisterSessionNotification,
    WTSSessionInfoEx, WTSUnRegisterSessionNotification,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DEVICE_NOTIFY_WINDOW_HANDLE, DefWindowProcW, DestroyWindow, DispatchMessageW,
    GetMessageW, MSG, PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND, PBT_APMSUSPEND,
    PostQuitMessage, RegisterClassExW, SetTimer, WM_POWERBROADCAST, WM_TIMER, WM_WTSSESSION_CHANGE,
    WNDCLASSEXW, WTS_SESSION_LOCK, WTS_SESSION_UNLOCK,
};
use windows_sys::core::w;

use crate::following::{Over, on_a_thread};
use crate::hold::hold;
use crate::{Delay, Sensor, SensorError, Signal};

const NAME: &str = "Windows session";
/// Windows gives a program about two seconds before it sleeps all the same.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// How often the thread looks whether it is still wanted, in milliseconds.
const LOOK: u32 = 1_000;

/// The session of our person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session;

impl Sensor for Session {
    fn name(&self) -> &'static str {
        NAME
    }

    fn listen(&self, told: mpsc::Sender<(&'static str, Signal)>) -> BoxFuture<'_, SensorError> {
        on_a_thread("signals", move |over| follow(told, over)).boxed()
    }
}

/// What the window's procedure has to know.
struct Listener {
    told: mpsc::Sender<(&'static str, Signal)>,
    over: Over,
    asleep: bool,
}

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

impl Listener {
    fn tell(&self, signal: Signal) {
        // Whoever listened may have gone.
        let _ = self.told.blocking_send((NAME, signal));
    }
}

fn follow(told: mpsc::Sender<(&'static str, Signal)>, over: Over) -> SensorError {
    let Some(window) = Window::create() else {
        return SensorError::NotThere { service: "a window station" };
    };
    let listener = Listener { told, over, asleep: false };
    if let Some(locked) = is_locked() {
        listener.tell(if locked { Signal::Locked } else { Signal::Unlocked });
    }
    LISTENER.with_borrow_mut(|place| *place = Some(listener));
    let mut message = MSG::default();
    // SAFETY: `message` is ours and lives as long as the loop; the window belongs to this thread.
    unsafe {
        while GetMessageW(&mut message, null_mut(), 0, 0) > 0 {
            DispatchMessageW(&message);
        }
    }
    LISTENER.take();
    drop(window);
    SensorError::Ended
}

/// A window that is told of the session and of sleep.
struct Window {
    handle: HWND,
    power: isize,
}

impl Window {
    fn create() -> Option<Self> {
        let class = w!("dockbridge-signals");
        // SAFETY: the class and its procedure live as long as the process; a class that is
        // registered already is used as it is; every handle is checked before use.
        unsafe {
            let instance = GetModuleHandleW(std::ptr::null());
            let description = WNDCLASSEXW {
                cbSize: u32::try_from(size_of::<WNDCLASSEXW>()).unwrap_or_default(),
                lpfnWndProc: Some(procedure),
                hInstance: instance,
                lpszClassName: class,
                ..WNDCLASSEXW::default()
            };
            RegisterClassExW(&description);
            let handle = CreateWindowExW(
                0,
                class,
                w!("dockbridge"),
                0,
                0,
                0,
                0,
                0,
                null_mut(),
                null_mut(),
                instance,
                std::ptr::null(),
            );
            if handle.is_null() {
                return None;
            }
            let power =
                RegisterSuspendResumeNotification(handle.cast(), DEVICE_NOTIFY_WINDOW_HANDLE);
            let window = Self { handle, power };
            (WTSRegisterSessionNotification(handle, NOTIFY_FOR_THIS_SESSION) != 0
                && SetTimer(handle, 1, LOOK, None) != 0)
                .then_some(window)
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: made by this thread in `create`, and used nowhere after this.
        unsafe {
            if self.power != 0 {
                UnregisterSuspendResumeNotification(self.power);
            }
            WTSUnRegisterSessionNotification(self.handle);
            DestroyWindow(self.handle);
        }
    }
}

/// How things stand; `None` where Windows does not say.
fn is_locked() -> Option<bool> {
    let (mut buffer, mut length) = (null_mut(), 0);
    // SAFETY: on success the buffer holds `length` bytes of the structure that was asked for, until
    // it is given back.
    unsafe {
        let asked = WTSQuerySessionInformationW(
            WTS_CURRENT_SERVER_HANDLE,
            WTS_CURRENT_SESSION,
            WTSSessionInfoEx,
            &mut buffer,
            &mut length,
        );
        if asked == 0 || buffer.is_null() {
            return None;
        }
        let whole = usize::try_from(length).is_ok_and(|length| length >= size_of::<WTSINFOEXW>());
        let flags = whole.then(|| {
            let info = buffer.cast::<WTSINFOEXW>().read_unaligned();
            (info.Level == 1).then_some(info.Data.WTSInfoExLevel1.SessionFlags)
        });
        WTSFreeMemory(buffer.cast());
        flags.flatten().map(|flags| flags.cast_unsigned() == WTS_SESSIONSTATE_LOCK)
    }
}

/// Messages to the window. Those of sleep hold it up until they are answered.
unsafe extern "system" fn procedure(
    window: HWND,
    message: u32,
    word: WPARAM,
    long: LPARAM,
) -> LRESULT {
    let kind = u32::try_from(word).unwrap_or_default();
    match message {
        WM_WTSSESSION_CHANGE => LISTENER.with_borrow(|listener| match (listener, kind) {
            (Some(listener), WTS_SESSION_LOCK) => listener.tell(Signal::Locked),
            (Some(listener), WTS_SESSION_UNLOCK) => listener.tell(Signal::Unlocked),
            _ => {}
        }),
        WM_POWERBROADCAST => LISTENER.with_borrow_mut(|listener| {
            if let Some(listener) = listener {
                power(listener, kind);
            }
        }),
        WM_TIMER => LISTENER.with_borrow(|listener| {
            if listener
                .as_ref()
                .is_some_and(|listener| listener.over.is_over() || listener.told.is_closed())
            {
                // SAFETY: it takes nothing but a number.
                unsafe { PostQuitMessage(0) };
            }
        }),
        // SAFETY: what came is handed on as it came.
        _ => return unsafe { DefWindowProcW(window, message, word, long) },
    }
    // TRUE, which WM_POWERBROADCAST asks for; the others do not look.
    1
}

fn power(listener: &mut Listener, event: u32) {
    match event {
        // It may come by two ways: as a broadcast, and because it was asked for.
        PBT_APMSUSPEND if !listener.asleep => {
            listener.asleep = true;
            let (hold, held) = hold();
            listener.tell(Signal::Sleeps(Delay::of(hold)));
            held.until_over(PATIENCE);
        }
        PBT_APMRESUMEAUTOMATIC | PBT_APMRESUMESUSPEND if listener.asleep => {
            listener.asleep = false;
            listener.tell(Signal::Wakes);
        }
        _ => {}
    }
}
