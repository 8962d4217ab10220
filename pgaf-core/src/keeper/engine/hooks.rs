//! When the hooks of the node are called.

use super::Engine;
use super::command::Command;
use crate::keeper::hook::{HookCall, HookKind, Role};
use crate::keeper::server::{DataDirectory, Server};
use crate::lsn::Timeline;

impl Engine {
    /// What the newest look says the node is to its clients. What cannot be told is what it was.
    pub(super) fn note_role(&mut self) {
        let Some(new) = self.server().and_then(Role::of) else { return };
        let old = std::mem::replace(&mut self.role, new);
        if old == new {
            return;
        }
        if old == Role::None && new.is_serving() {
            self.call_hook(HookKind::Start, old, new);
        }
        if old.is_serving() && !new.is_serving() {
            self.call_hook(HookKind::Stop, old, new);
        }
        self.call_hook(HookKind::RoleChange, old, new);
    }

    /// The node fences itself.
    pub(super) fn call_fence_hook(&mut self) {
        self.call_hook(HookKind::Fence, self.role, Role::None);
    }

    /// Postgres has ended, and not by a step: when its time was over, the dead man's switch has ended it.
    pub(super) fn note_dead_man(&mut self) {
        if self.authority_ends().is_some_and(|end| end <= self.now()) {
            self.call_fence_hook();
        }
    }

    fn call_hook(&mut self, kind: HookKind, old_role: Role, new_role: Role) {
        if !self.settings.has_hooks {
            return;
        }
        let (node, group, timeline) = (self.state.node, self.state.group, self.timeline());
        self.order(Command::RunHook(HookCall { kind, old_role, new_role, node, group, timeline }));
    }

    /// Of the local data.
    fn timeline(&self) -> Option<Timeline> {
        let observed = &self.looking.newest()?.observed;
        match (&observed.server, &observed.data) {
            (Server::Running(running), _) => Some(running.timeline),
            (_, DataDirectory::Present(cluster)) => Some(cluster.timeline),
            _ => None,
        }
    }
}
