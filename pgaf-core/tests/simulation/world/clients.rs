//! A client on each host, which writes while its Postgres lets it.

use super::World;

impl World {
    pub(super) fn client_commits(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.is_frozen || !host.postgres.is_writer() {
            return;
        }
        if self.random.per_mille(self.profile.commit_rate) {
            host.postgres.commit(&mut self.archive);
        }
        let is_late_backend = self.random.per_mille(500);
        let Some((newest, count)) = host.postgres.acknowledge(is_late_backend) else { return };
        self.acknowledged.add(newest, count);
        if !self.profile.allows_data_loss {
            let verdict = self.one_line.acknowledged(&self.archive, newest, index);
            self.judge(verdict);
        }
    }
}
