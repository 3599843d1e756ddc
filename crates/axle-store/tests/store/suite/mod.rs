//! What every store must do. Each function is a test; [`suite!`] makes them for one kind of store.

pub(crate) mod account_data;
pub(crate) mod accounts;
pub(crate) mod administration;
pub(crate) mod append;
pub(crate) mod application_services;
pub(crate) mod concurrency;
pub(crate) mod dehydrated;
pub(crate) mod delayed_events;
pub(crate) mod delivery;
pub(crate) mod device_keys;
pub(crate) mod device_lists;
pub(crate) mod devices;
pub(crate) mod directory;
pub(crate) mod edus;
pub(crate) mod faults;
pub(crate) mod fixtures;
pub(crate) mod groups;
pub(crate) mod guests;
pub(crate) mod key_backups;
pub(crate) mod keys;
pub(crate) mod login_tokens;
pub(crate) mod lpdus;
pub(crate) mod media;
pub(crate) mod media_administration;
pub(crate) mod notice_rooms;
pub(crate) mod oauth;
pub(crate) mod one_time_keys;
pub(crate) mod operator;
pub(crate) mod out_of_room;
pub(crate) mod profiles;
pub(crate) mod pushers;
pub(crate) mod reading;
pub(crate) mod receipts;
pub(crate) mod redaction;
pub(crate) mod relations;
pub(crate) mod remote_media;
pub(crate) mod room_lists;
pub(crate) mod search;
pub(crate) mod state;
pub(crate) mod sync;
pub(crate) mod to_device;
pub(crate) mod url_previews;
pub(crate) mod user_directory;
pub(crate) mod user_tokens;

/// Makes a test of each function for the stores that `$open` (an async function) makes: an `Arc<dyn Store>`, and
/// something that cleans up when dropped.
#[macro_export]
macro_rules! suite {
    ($open:ident; $($module:ident: $($name:ident),+ $(,)?;)+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $name() {
                let (store, _guard) = super::$open().await;
                $crate::suite::$module::$name(store.clone()).await;
                let findings = store.check().await.unwrap();
                assert!(findings.is_empty(), "{findings:#?}");
            })+
        })+
    };
}

/// All tests, for one kind of store.
#[macro_export]
macro_rules! full_suite {
    ($open:ident) => {
        $crate::suite! {
            $open;
            append: streams_grow, head_must_match, same_id_is_stored_once, same_id_twice_in_one_append,
                waiting_event_is_moved, outlier_becomes_history, rejected_event_is_kept, empty_append,
                made_here,
                taken_position_is_refused, event_of_another_room_is_refused, failed_append_spoils_no_other;
            reading: timeline_both_ways, unplaced_in_order_of_arrival, unknown_things, events_by_id, load_room, load_room_of_unpositioned,
                rooms_with_waiting;
            state: current_state, state_before, state_of_a_join, history_before_a_join,
                a_join_outweighs_history_that_ends_at_it, rejoin_replaces_state,
                state_changes, same_state_again_changes_nothing;
            sync: newest_first_and_limited, history_is_no_news, until_is_respected, user_rooms, user_rooms_changed,
                user_rooms_changed_after_much, members;
            room_lists: described, matching_state;
            relations: both_ways_and_by_kind, of_relations, sums, threads_by_their_end, only_what_is_in_the_room,
                redacted_ones_drop_out;
            redaction: now_and_later, not_in_another_room, first_one_stays;
            delivery: interval_in_order, nothing_before_start_or_after_stop, rooms_of_a_destination,
                several_rooms_in_stream_order,
                acknowledge_moves_on, soft_failed_are_delivered_rejected_not, start_in_the_past_is_refused,
                attempts, parked, announcements, more_than_is_kept_in_memory, inbound_responses;
            lpdus: queue_in_order, settled_by_echo, settled_by_rejection, refused, known_lpdus, unasked_lpdus,
                client_txns;
            out_of_room: put_replace_remove;
            keys: kept_for_ever, responses_by_key_set;
            account_data: put_and_replace, changes, only_what_is_expected, of_a_room;
            accounts: users, tokens, a_new_password_logs_others_out, an_account_ends,
                an_account_is_erased, filters, txn_ids_of_a_device;
            profiles: name_and_avatar, further_fields;
            user_directory: by_id_and_name, whom_one_may_know_of, a_redacted_name_is_not_found,
                is_whole_while_names_change;
            devices: logged_in_and_out, named_and_seen, tokens_follow_each_other;
            device_keys: changes_for_who_shares_a_room, signatures_are_for_those_concerned,
                a_device_takes_its_keys_with_it;
            one_time_keys: claimed_once_and_in_order, none_after_its_end, a_repeated_upload_brings_none_back, taken_back,
                those_of_other_identity_keys_are_forgotten, claimed_by_many_at_once, never_given_out_twice;
            dehydrated: one_a_user, none_of_an_account_that_ended;
            delayed_events: sent_in_time_and_once, transactions_and_limits, none_of_an_account_that_ended;
            directory: aliases, biggest_first, sizes_follow_members, a_successor_takes_over, descriptions,
                forgotten_until_joined_again, reports_are_kept_and_bounded;
            notice_rooms: one_a_user;
            key_backups: versions_are_given_out_once, the_better_key_stays, some_keys_go, a_user_has_so_many;
            pushers: set_replaced_and_removed, one_key_of_several_users, a_device_takes_its_pushers_with_it,
                a_user_has_so_many_pushers;
            search: by_words_and_room, by_what_it_is_in, nothing_redacted, in_pages;
            device_lists: changes_are_told_once, good_while_a_room_is_shared, updates_are_news, told_without_being_asked;
            edus: in_order_until_acknowledged, the_newest_of_a_subject, no_more_than_so_many;
            to_device: queued_once_and_removed, a_device_takes_its_messages_with_it,
                what_goes_elsewhere_is_queued_with_it, received_once_and_not_without_end;
            receipts: only_forwards, who_learns_what, rooms_with_news;
            faults: kept_once_and_pruned, news_of_the_room;
            media_administration: listed_and_removed, usage, quarantined, what_users_show;
            media: uploads, quotas, reservations, thumbnails;
            oauth: codes_are_good_once, a_device_waits_for_its_user, clients_that_nobody_uses_go_first, whose_a_token_is,
                one_key_signs_id_tokens;
            login_tokens: good_once, gone_with_the_device, so_many_of_a_device;
            user_tokens: good_until_it_ends, gone_with_either_account, so_many_of_an_administrator;
            application_services: progress_is_kept, what_happened_in_order, what_encryption_needs, rooms_of_networks;
            administration: accounts_are_found, what_administrators_do, locked_and_suspended;
            guests: some_stay, where_they_are;
            groups: stored_with_events, the_newest_are_kept, awaited_ones_are_kept, goes_back;
            url_previews: the_newest_are_kept;
            remote_media: fetched, content_that_others_have;
            operator: rooms, blocks, restored, restored_keys;
            concurrency: many_tasks_many_rooms, racing_for_one_head;
        }
    };
}
