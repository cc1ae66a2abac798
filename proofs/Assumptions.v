(** * What the theorems rest on

    Each line below must print "Closed under the global context": no axiom, nothing
    admitted. [make] counts them. *)

From Synod Require BasicProof CoreProof Quorum Fast CheckProof.
From Synod.basic Require NetworkProof.
From Synod.multi Require NetworkProof SessionProof.
From Synod.fast Require NetworkProof.

Print Assumptions BasicProof.agreement.
Print Assumptions BasicProof.validity.
Print Assumptions BasicProof.stability.

Print Assumptions CoreProof.agreement.
Print Assumptions CoreProof.validity.
Print Assumptions CoreProof.stability.
Print Assumptions CoreProof.one_value.
Print Assumptions CoreProof.votes_safe.
Print Assumptions CoreProof.promises_kept.

Print Assumptions Quorum.checked_is_lawful.
Print Assumptions Quorum.majority_is_lawful.
Print Assumptions Quorum.flexible_is_lawful.
Print Assumptions Quorum.fast_is_lawful.
Print Assumptions Quorum.fast_flexible_is_lawful.
Print Assumptions Quorum.fast_flexible_is_live.
Print Assumptions Quorum.explicit_is_lawful.
Print Assumptions Fast.never_stuck.

Print Assumptions basic.NetworkProof.agreement.
Print Assumptions basic.NetworkProof.chosen_agreement.
Print Assumptions basic.NetworkProof.validity.
Print Assumptions basic.NetworkProof.decided_is_chosen.
Print Assumptions basic.NetworkProof.one_value_per_ballot.
Print Assumptions basic.NetworkProof.promise_kept.
Print Assumptions basic.NetworkProof.decision_stands.

Print Assumptions multi.NetworkProof.agreement.
Print Assumptions multi.NetworkProof.chosen_agreement.
Print Assumptions multi.NetworkProof.validity.
Print Assumptions multi.NetworkProof.decided_is_chosen.
Print Assumptions multi.NetworkProof.one_value_per_ballot.
Print Assumptions multi.NetworkProof.promise_kept.
Print Assumptions multi.NetworkProof.decision_stands.
Print Assumptions multi.NetworkProof.same_state.
Print Assumptions multi.SessionProof.effects_only.
Print Assumptions multi.SessionProof.exactly_once.

Print Assumptions fast.NetworkProof.agreement.
Print Assumptions fast.NetworkProof.chosen_agreement.
Print Assumptions fast.NetworkProof.validity.
Print Assumptions fast.NetworkProof.decided_is_chosen.
Print Assumptions fast.NetworkProof.one_value_per_ballot.
Print Assumptions fast.NetworkProof.promise_kept.
Print Assumptions fast.NetworkProof.decision_stands.

Print Assumptions CheckProof.sound.
Print Assumptions CheckProof.agreement.
Print Assumptions CheckProof.prefix.
Print Assumptions CheckProof.lasting.
