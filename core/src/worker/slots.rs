//! Slots: how many tasks a worker may hold, and which of its free ones are promised to an operation in flight.
//!
//! Invariant: a slot is free, held by one task, or reserved by one operation; only free slots are offered.

use std::collections::BTreeMap;

use super::QueueConfig;
use crate::limits;
use crate::name::Name;
use crate::operation::QueueDemand;
use crate::task::{Item, TaskRow};

/// Where a task takes its slot: a queue by its position in the configuration, or the slots for engine items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Queue(usize),
    Engine,
}

/// The slots of every queue, and those for engine items.
#[derive(Debug)]
pub(super) struct Slots {
    names: Vec<Name>,
    queues: Vec<Pool>,
    engine: Pool,
}

/// The slots of one place. `held` may exceed what there is for a while: reports that met a locked run keep their slots
/// although their settle was offered these for others.
#[derive(Debug, Clone, Copy, Default)]
struct Pool {
    capacity: u32,
    held: u32,
    reserved: u32,
}

/// Free slots that an operation in flight was offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reservation(BTreeMap<Place, u32>);

/// Slots offered, and what of them is reserved.
#[derive(Debug, Default)]
pub(super) struct Offered {
    pub(super) queues: Vec<QueueDemand>,
    pub(super) engine: u32,
    pub(super) reserved: Reservation,
}

/// How many free slots an operation could make use of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spare {
    /// As far as is known for sure.
    pub(super) sure: u32,
    /// At most.
    pub(super) most: u32,
}

/// How many slots end with an operation, by place: those of the tasks it reports.
pub(super) type Ending = BTreeMap<Place, u32>;

impl Slots {
    pub(super) fn new(queues: &[QueueConfig]) -> Slots {
        let pool = |capacity| Pool {
            capacity,
            ..Pool::default()
        };
        Slots {
            names: queues.iter().map(|queue| queue.name.clone()).collect(),
            queues: queues.iter().map(|queue| pool(queue.slots)).collect(),
            engine: pool(limits::ENGINE_SLOTS),
        }
    }

    /// Where a task takes its slot. A step of a queue that is not served (a store should hand none over) counts as an
    /// engine item, so that it is bounded too.
    pub(super) fn place(&self, task: &TaskRow) -> Place {
        match task.item() {
            Item::Attempt => self.queue(&task.queue).unwrap_or(Place::Engine),
            Item::Loss
            | Item::Wait
            | Item::Deadline
            | Item::Chore(_)
            | Item::Delivery
            | Item::Firing => Place::Engine,
        }
    }

    pub(super) fn queue(&self, name: &Name) -> Option<Place> {
        self.names
            .iter()
            .position(|served| served == name)
            .map(Place::Queue)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.queues.len())
            .map(Place::Queue)
            .chain([Place::Engine])
    }

    pub(super) fn free(&self, place: Place) -> u32 {
        self.pool(place).free()
    }

    pub(super) fn any_free(&self) -> bool {
        self.engine.free() > 0 || self.queues.iter().any(|pool| pool.free() > 0)
    }

    pub(super) fn hold(&mut self, place: Place) {
        self.pool_mut(place).held += 1;
    }

    pub(super) fn give_up(&mut self, place: Place) {
        let pool = self.pool_mut(place);
        pool.held = pool
            .held
            .checked_sub(1)
            .expect("a slot is given up once, by the task that held it");
    }

    /// Offers to a claim what is free, as much of it as is wanted for each queue.
    pub(super) fn offer_free(&mut self, wanted: impl Fn(Place) -> u32) -> Offered {
        let mut offered = Offered {
            engine: self.engine.free(),
            ..Offered::default()
        };
        for place in self.places() {
            let free = match place {
                Place::Queue(_) => self.free(place).min(wanted(place)),
                Place::Engine => self.free(place),
            };
            if let (Place::Queue(at), 1..) = (place, free) {
                let queue = self.names[at].clone();
                offered.queues.push(QueueDemand {
                    queue,
                    slots: free,
                    floor: None,
                });
            }
            self.reserve(place, free, &mut offered.reserved);
        }
        offered
    }

    /// Offers the slots that end with an operation, and as much of what is free as it may make use of, but no more than half
    /// unless that is sure, so that another one leaving meanwhile finds some too. `floor` is how urgent a hand-off must be,
    /// by queue. Engine items come from claims only.
    pub(super) fn offer_some(
        &mut self,
        ending: &Ending,
        wanted: Spare,
        floor: impl Fn(&Name) -> Option<i16>,
    ) -> Offered {
        let mut offered = Offered::default();
        for (at, queue) in self.names.clone().into_iter().enumerate() {
            let place = Place::Queue(at);
            let pool = self.pool(place);
            let own = ending
                .get(&place)
                .copied()
                .unwrap_or(0)
                .saturating_sub(pool.excess());
            let half = pool.free().div_ceil(2);
            let spare = wanted.sure.max(half.min(wanted.most)).min(pool.free());
            self.reserve(place, spare, &mut offered.reserved);
            if own + spare > 0 {
                let floor = floor(&queue);
                offered.queues.push(QueueDemand {
                    queue,
                    slots: own + spare,
                    floor,
                });
            }
        }
        offered
    }

    /// Takes back what an operation was offered, once it is resolved.
    pub(super) fn release(&mut self, reservation: &Reservation) {
        for (place, slots) in &reservation.0 {
            let pool = self.pool_mut(*place);
            pool.reserved = pool
                .reserved
                .checked_sub(*slots)
                .expect("a reservation is released once");
        }
    }

    fn reserve(&mut self, place: Place, slots: u32, reservation: &mut Reservation) {
        if slots > 0 {
            self.pool_mut(place).reserved += slots;
            reservation.0.insert(place, slots);
        }
    }

    fn pool(&self, place: Place) -> Pool {
        match place {
            Place::Queue(at) => self.queues[at],
            Place::Engine => self.engine,
        }
    }

    fn pool_mut(&mut self, place: Place) -> &mut Pool {
        match place {
            Place::Queue(at) => &mut self.queues[at],
            Place::Engine => &mut self.engine,
        }
    }
}

impl Pool {
    fn free(self) -> u32 {
        self.capacity.saturating_sub(self.held + self.reserved)
    }

    /// How many more are held and reserved than there are.
    fn excess(self) -> u32 {
        (self.held + self.reserved).saturating_sub(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever there is.
    const ANY: Spare = Spare {
        sure: 0,
        most: u32::MAX,
    };

    fn slots(capacity: u32) -> (Slots, Place) {
        let name = Name::new("mail").unwrap();
        (
            Slots::new(&[QueueConfig {
                name,
                slots: capacity,
            }]),
            Place::Queue(0),
        )
    }

    fn offered(offered: &Offered) -> u32 {
        offered.queues.iter().map(|demand| demand.slots).sum()
    }

    #[test]
    fn no_slot_is_offered_twice() {
        let (mut slots, mail) = slots(8);
        slots.hold(mail);
        slots.hold(mail);
        let settle = slots.offer_some(&Ending::from([(mail, 1)]), ANY, |_| None);
        assert_eq!(
            offered(&settle),
            1 + 3,
            "its own and half of the six that are free"
        );
        let submit = slots.offer_some(&Ending::new(), ANY, |_| None);
        assert_eq!(offered(&submit), 2);
        let claim = slots.offer_free(|_| u32::MAX);
        assert_eq!((offered(&claim), claim.engine), (1, limits::ENGINE_SLOTS));
        let late = slots.offer_free(|_| u32::MAX);
        assert_eq!(
            (offered(&late), late.engine, slots.any_free()),
            (0, 0, false)
        );
        slots.release(&submit.reserved);
        assert_eq!(offered(&slots.offer_free(|_| u32::MAX)), 2);
    }

    #[test]
    fn what_cannot_be_made_use_of_is_not_offered() {
        let (mut slots, mail) = slots(8);
        let settle = slots.offer_some(&Ending::from([(mail, 3)]), Spare::default(), |_| None);
        assert_eq!((offered(&settle), slots.free(mail)), (3, 8));
        let some = slots.offer_some(&Ending::new(), Spare { sure: 0, most: 2 }, |_| None);
        assert_eq!((offered(&some), slots.free(mail)), (2, 6));
        let sure = slots.offer_some(&Ending::new(), Spare { sure: 5, most: 40 }, |_| None);
        assert_eq!((offered(&sure), slots.free(mail)), (5, 1));
        let more = slots.offer_some(&Ending::new(), Spare { sure: 5, most: 40 }, |_| None);
        assert_eq!((offered(&more), slots.free(mail)), (1, 0));
        slots.release(&sure.reserved);
        assert_eq!(offered(&slots.offer_free(|_| 2)), 2);
    }

    #[test]
    fn the_slots_of_busy_reports_are_not_offered_again_while_others_were_handed_them() {
        let (mut slots, mail) = slots(2);
        slots.hold(mail);
        slots.hold(mail);
        let settle = slots.offer_some(&Ending::from([(mail, 2)]), ANY, |_| None);
        assert_eq!(offered(&settle), 2);
        slots.release(&settle.reserved);
        slots.hold(mail);
        let again = slots.offer_some(&Ending::from([(mail, 2)]), ANY, |_| None);
        assert_eq!(offered(&again), 1, "three tasks are held in two slots");
        slots.release(&again.reserved);
        for _ in 0..3 {
            slots.give_up(mail);
        }
        assert_eq!(slots.free(mail), 2);
    }

    #[test]
    fn an_offer_names_the_floor_of_its_queue() {
        let (mut slots, _) = slots(1);
        let offer = slots.offer_some(&Ending::new(), ANY, |queue| {
            (queue.as_str() == "mail").then_some(-3)
        });
        assert_eq!(
            offer.queues,
            [QueueDemand {
                queue: Name::new("mail").unwrap(),
                slots: 1,
                floor: Some(-3)
            }]
        );
    }
}
