(* Runs the extracted handlers under a random schedule and prints what they did as a trace.

     simulate SEED STEPS

   Messages are lost, doubled and overtaken, and nodes crash and restart from what they saved.
   Nothing here is trusted: the checker judges what comes out. *)

open Numbers

let say format = Printf.printf (format ^^ "\n")
let acceptors = 3
let nodes = 3
let clients = 2
let client_ids = List.init clients (fun i -> nodes + i)
let n = of_int

let cluster : Protocol.cluster =
  { quorums = Quorum.classic (n 7) (AtLeast (n 2)) (AtLeast (n 2));
    proposers = List.init nodes n; learners = List.init nodes n; nacks = true;
    round_max = of_string "1000000"; retry = { base = n 1; doublings_max = n 1 } }

let votes (a : Acceptor.acceptor) =
  match a.vote with
  | None -> ""
  | Some (b, v) -> Printf.sprintf " 0 %s %s" (ballot_to_string b) (to_string v)

let promise (a : Acceptor.acceptor) =
  match a.promised with None -> "-" | Some b -> ballot_to_string b

(* The ballot that a value was first learned in: whoever is told later was told that. *)
let learned_in : (BinNums.coq_N, Vocabulary.ballot) Hashtbl.t = Hashtbl.create 1

let said_once (st : Node.step) =
  let add seen (_, m) = if List.mem m seen then seen else m :: seen in
  List.rev (List.fold_left add [] st.said)

(* The acceptors whose promises the proposer has counted for ballot [b]. *)
let counted me (before : Node.state) (event : (int * Protocol.message) option) said b =
  let collected =
    match before.proposer with
    | Some { current = Some b'; progress = Preparing (promises, _); _ } when b' = b ->
        List.filter (fun a -> Quorum.contains promises (n a)) (List.init acceptors Fun.id)
    | _ -> [] in
  let now = match event with Some (from, Promise (b', _)) when b' = b -> [ from ] | _ -> [] in
  let own = List.exists (function Protocol.Promise (b', _) -> b' = b | _ -> false) said in
  let all = List.sort_uniq compare (collected @ now @ if own then [ me ] else []) in
  String.concat "," (List.map string_of_int all)

let report me before event (st : Node.step) =
  let said = said_once st in
  let tell : Protocol.message -> unit = function
    | Promise (b, v) ->
        let vote = match v with
          | Some (b, v) -> Printf.sprintf " 0 %s %s" (ballot_to_string b) (to_string v)
          | None -> "" in
        say "promised %d %s 0%s" me (ballot_to_string b) vote
    | Accept (b, v) ->
        say "proposed 0 %s %s %s" (ballot_to_string b) (to_string v)
          (counted me before event said b)
    | Accepted (b, v) -> say "voted %d 0 %s %s" me (ballot_to_string b) (to_string v)
    | _ -> () in
  List.iter tell said;
  match (Node.decided before, Node.decided st.now) with
  | None, Some v ->
      let b =
        match Hashtbl.find_opt learned_in v with
        | Some b -> b
        | None ->
            (* It counted votes, of which it heard the last just now, or cast it. *)
            let vote : Protocol.message -> Vocabulary.ballot option = function
              | Accepted (b, _) -> Some b
              | _ -> None in
            let own = List.find_map vote said in
            let b = match (event, own) with
              | Some (_, Accepted (b, _)), _ -> b
              | _, Some b -> b
              | _, None -> failwith "nobody voted" in
            Hashtbl.add learned_in v b; b in
      say "learned 0 %s %s" (ballot_to_string b) (to_string v)
  | _ -> ()

let run seed steps =
  Random.init seed;
  say "# seed %d" seed;
  say "acceptors 0,1,2";
  say "phase1 at-least 2";
  say "phase2 at-least 2";
  let states = Array.init nodes (fun me -> Node.start_state cluster (n me) None) in
  let sent = ref [] in
  List.iteri (fun i id ->
      say "requested %d" (120 + i);
      for to_ = 0 to nodes - 1 do
        sent := (id, to_, Protocol.Propose (n (120 + i))) :: !sent
      done) client_ids;
  let after me event (st : Node.step) =
    report me states.(me) event st;
    states.(me) <- st.now;
    let post (to_, m) =
      let to_ = int_of_string (to_string to_) in
      (* some are lost *)
      if to_ < nodes && Random.int 10 > 0 then sent := (me, to_, m) :: !sent in
    List.iter post (Node.sends (n me) st) in
  for _ = 1 to steps do
    match Random.int 20 with
    | 0 ->
        let me = Random.int nodes in
        let saved = Node.durable_of states.(me) in
        (match saved.saved_acceptor with
         | Some a -> say "restarted %d %s%s" me (promise a) (votes a)
         | None -> ());
        after me None (Node.on_start cluster (n me) (Some saved))
    | 1 ->
        let me = Random.int nodes in
        after me None (Node.on_timer cluster (n me) states.(me) Retry)
    | _ ->
        (* any message that was ever sent, and sometimes one again *)
        let at = Random.int (List.length !sent) in
        let from, to_, m = List.nth !sent at in
        if Random.int 10 > 0 then sent := List.filteri (fun i _ -> i <> at) !sent;
        if !sent = [] then sent := [ (from, to_, m) ];
        after to_ (Some (from, m)) (Node.on_message cluster (n to_) states.(to_) (n from) m)
  done

let () =
  match Array.to_list Sys.argv with
  | [ _; seed; steps ] -> run (int_of_string seed) (int_of_string steps)
  | _ -> prerr_endline "usage: simulate SEED STEPS"; exit 2
