//! A link on which everything takes longer: a program takes the frames from one end of the host's cable to the other.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::network::Link;
use super::process::{run, wait_child};

/// Holds each frame for a time drawn anew, without ever overtaking one. Its arguments are two devices, the mean and the
/// most that is added or taken away, in milliseconds. It says a line when it is ready, and dies with its parent.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct frame { struct frame *next; long long due; size_t size; char bytes[]; };
struct way { int from, to; struct frame *first, **last; long long last_due; };

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* With a header of offloads before each frame: what a device of this kind carries has no checksum yet. */
static int open_device(const char *name)
{
    int one = 1, room = 8 << 20, device = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)
    };
    if (device < 0 || !address.sll_ifindex
        || setsockopt(device, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one)
        || setsockopt(device, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one)
        || setsockopt(device, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)
        || bind(device, (struct sockaddr *) &address, sizeof address))
        fail(name);
    return device;
}

static void take(struct way *way, long long mean_us, long long jitter_us)
{
    static char bytes[1 << 17];
    ssize_t size;
    while ((size = recv(way->from, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        struct frame *frame = malloc(sizeof *frame + size);
        long long due = now_us() + mean_us - jitter_us + (jitter_us ? random() % (2 * jitter_us + 1) : 0);
        if (!frame)
            fail("malloc");
        frame->due = way->last_due = due > way->last_due ? due : way->last_due;
        frame->size = size;
        frame->next = NULL;
        memcpy(frame->bytes, bytes, size);
        *way->last = frame;
        way->last = &frame->next;
    }
}

/* A frame that the other end does not take is lost, as on any link. */
static void give(struct way *way)
{
    long long now = now_us();
    while (way->first && way->first->due <= now) {
        struct frame *frame = way->first;
        way->first = frame->next;
        if (!way->first)
            way->last = &way->first;
        if (send(way->to, frame->bytes, frame->size, 0) < 0 && errno == ENODEV)
            exit(0);
        free(frame);
    }
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int left = open_device(arguments[1]), right = open_device(arguments[2]);
    long long mean_us = atoll(arguments[3]) * 1000, jitter_us = atoll(arguments[4]) * 1000;
    struct way ways[2] = { { .from = left, .to = right }, { .from = right, .to = left } };
    struct pollfd polls[2] = { { .fd = left, .events = POLLIN }, { .fd = right, .events = POLLIN } };
    ways[0].last = &ways[0].first;
    ways[1].last = &ways[1].first;
    puts("ready");
    fflush(stdout);
    for (;;) {
        poll(polls, 2, ways[0].first || ways[1].first ? 1 : 100);
        for (int i = 0; i < 2; i++) {
            take(&ways[i], mean_us, jitter_us);
            give(&ways[i]);
        }
    }
}
"#;

/// A link that is slowed down; as it was again on drop.
pub(crate) struct Delay {
    program: Child,
    bridge: String,
    port: String,
    inner: String,
}

impl Link {
    /// Holds every frame from and to this host for `mean`, more or less by at most `jitter`; they stay in order. The program
    /// that does it is built in that directory.
    pub(crate) fn delay(&self, directory: &Path, mean: Duration, jitter: Duration) -> Result<Delay> {
        fs::create_dir_all(directory)?;
        let (source, built) = (directory.join("delay.c"), directory.join("delay"));
        fs::write(&source, SOURCE)?;
        run(Command::new("cc").args(["-O1", "-o"]).arg(&built).arg(&source))?;
        let (inner, outer) = (format!("{}-in", self.port), format!("{}-out", self.port));
        let ip = |args: &[&str]| run(Command::new("ip").args(["-n", &self.bridge, "link"]).args(args));
        ip(&["add", &inner, "type", "veth", "peer", "name", &outer])?;
        ip(&["set", &inner, "up"])?;
        ip(&["set", &outer, "master", "br0", "up"])?;
        ip(&["set", &self.port, "nomaster"])?;
        let program = Command::new("ip")
            .args(["netns", "exec", &self.bridge])
            .arg(&built)
            .args([&self.port, &inner])
            .args([mean.as_millis().to_string(), jitter.as_millis().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the delay")?;
        let mut delay = Delay { program, bridge: self.bridge.clone(), port: self.port.clone(), inner };
        delay.wait_ready()?;
        Ok(delay)
    }
}

impl Delay {
    fn wait_ready(&mut self) -> Result<()> {
        let mut said = String::new();
        let stdout = self.program.stdout.take().context("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut said)?;
        anyhow::ensure!(said == "ready\n", "the delay has not started");
        Ok(())
    }

    fn undo(&mut self) -> Result<()> {
        self.program.kill()?;
        wait_child(&mut self.program, Duration::from_secs(5))?;
        run(Command::new("ip").args(["-n", &self.bridge, "link", "set", &self.port, "master", "br0"]))?;
        run(Command::new("ip").args(["-n", &self.bridge, "link", "delete", &self.inner]))
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            eprintln!("the link of {} stays slow: {error:#}", self.port);
        }
    }
}
