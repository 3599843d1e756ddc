//! Many devices that commit in the same epoch, each of which wants to add another device of its user.

use axle_mls::Layering;
use axle_mls::hub::Refusal;

use super::Result;
use super::group::Group;
use super::report::Race;

pub(super) fn measure(committers: usize) -> Result<Vec<Race>> {
    Ok(vec![bound(committers)?, on_top(committers)?])
}

/// A group in which all have followed, and a second device of each that waits.
fn group(layering: Layering, committers: usize) -> Result<(Group, Vec<usize>)> {
    let mut group = Group::new(layering)?;
    let added: Vec<usize> = (1..committers).map(|_| group.new_device("A")).collect::<Result<_>>()?;
    let welcome = group.add(0, &added)?;
    for device in added {
        group.join(device, &welcome)?;
    }
    let waiting = (0..committers).map(|user| group.device_of(user, "SECOND")).collect::<Result<_>>()?;
    Ok((group, waiting))
}

/// The losers propose what they wanted, and one more commit has all of it.
fn bound(committers: usize) -> Result<Race> {
    let (mut group, waiting) = group(Layering::Bound, committers)?;
    let mut race = Race::new("bound", committers);
    let winners = race.round(&mut group, &waiting, &(0..committers).collect::<Vec<_>>())?;
    let id = group.id.clone();
    for device in (0..committers).filter(|device| !winners.contains(device)) {
        let second = *waiting.get(device).ok_or("nobody waits")?;
        let (package, user) = (group.key_package(second)?, group.user(device)?);
        let binding = group.room.binding(&user, [&user]);
        let proposal = group.member(device)?.propose_add(&id, package, &binding)?;
        let checked = group.hub.check_proposal(&proposal, &user, &group.room)?;
        group.hub.queue(checked)?;
        race.retries += 1;
    }
    let pending = group.commit(0, &[], false)?;
    group.append(0, &pending.content)??;
    race.commits += 1;
    race.finish(&group)
}

/// The losers try again, all at once each time: the worst that can be.
fn on_top(committers: usize) -> Result<Race> {
    let (mut group, waiting) = group(Layering::OnTop, committers)?;
    let mut race = Race::new("on_top", committers);
    let mut left: Vec<usize> = (0..committers).collect();
    while !left.is_empty() {
        let winners = race.round(&mut group, &waiting, &left)?;
        left.retain(|device| !winners.contains(device));
        race.retries += left.len();
        if winners.is_empty() {
            return Err("nobody has won".into());
        }
    }
    race.finish(&group)
}

impl Race {
    fn new(layering: &'static str, committers: usize) -> Self {
        Self { layering, committers, commits: 0, refusals: 0, retries: 0, added: 0 }
    }

    /// All of these commit in the same epoch, and the hub gets their commits beginning somewhere; who has won.
    fn round(&mut self, group: &mut Group, waiting: &[usize], devices: &[usize]) -> Result<Vec<usize>> {
        let (id, mut made, mut winners) = (group.id.clone(), Vec::new(), Vec::new());
        for device in devices {
            let second = *waiting.get(*device).ok_or("nobody waits")?;
            made.push((*device, group.commit(*device, &[second], false)?));
        }
        let first = self.refusals % made.len().max(1);
        made.rotate_left(first);
        for (device, pending) in &made {
            match group.append(*device, &pending.content)? {
                Ok(_) => winners.push(*device),
                Err(Refusal::WrongEpoch { .. }) => {
                    group.member(*device)?.discard(&id)?;
                    self.refusals += 1;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        self.commits += winners.len();
        for device in 0..self.committers {
            group.follow(device)?;
        }
        Ok(winners)
    }

    fn finish(self, group: &Group) -> Result<Self> {
        Ok(Self { added: group.hub.members().count() - self.committers, ..self })
    }
}
