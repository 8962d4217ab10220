//! A real browser without a window, driven over a pipe with the DevTools protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bed::WITHIN;
use crate::harness::wait_for;

/// An answer of the browser; a busy machine needs some time to start one.
const DEADLINE: Duration = Duration::from_secs(60);

/// It reads commands from descriptor 3 and writes answers to descriptor 4.
const HAND_OVER: &str = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
    session: Option<String>,
}

impl Browser {
    /// Starts one; what it keeps goes below this directory.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", HAND_OVER, "sh"])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .args(["--remote-debugging-pipe", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", directory.join("browser").display()))
            .env("HOME", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().context("cannot start chromium")?;
        let commands = child.stdin.take().context("no way to command it")?;
        let answers = child.stdout.take().context("no way to hear it")?;
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                if let Ok(message) = serde_json::from_slice(&message)
                    && sender.send(message).is_err()
                {
                    return;
                }
            }
        });
        let mut browser = Self { child, commands, messages, next: 0, session: None };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        Ok(browser)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes())?;
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message =
                self.messages.recv_timeout(left).with_context(|| format!("no answer to {method}"))?;
            if message["id"] == self.next {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
        }
    }

    /// Opens an address in a window of this size.
    pub(crate) fn open(&mut self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url }))?;
        ensure!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        Ok(())
    }

    /// The window is so large from now on, and its colors are light or dark.
    pub(crate) fn size(&mut self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).map(drop)
    }

    /// The value of an expression of JavaScript.
    pub(crate) fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression}: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) -> Result<()> {
        wait_for(expression, WITHIN, || Ok((self.value(expression)? == true).then_some(())))
            .with_context(|| format!("the page says: {:?}", self.value("document.body?.innerText")))
    }

    /// The whole page as a picture.
    pub(crate) fn picture(&mut self) -> Result<Vec<u8>> {
        let height = self.value("document.documentElement.scrollHeight")?;
        let width = self.value("innerWidth")?;
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.call("Page.captureScreenshot", parameters)?;
        let data = answer["data"].as_str().context("no picture")?;
        Ok(openssl::base64::decode_block(data)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has processes of its own, all in its group; they may be gone.
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _gone = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _reaped = self.child.wait();
    }
}
