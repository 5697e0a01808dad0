#!/usr/bin/env bash
# Run a recipe with several processes, on one machine or on several.
#
#   recipes/launch/torchrun.sh ner/conll2003 --run_dir runs/ner/mine
#   NODES=2 NODE_RANK=0 HEAD=10.0.0.1:29500 RUN_ID=first recipes/launch/torchrun.sh ner/conll2003 ...
#
# README.md beside this file says what the settings are. Start it on each node, with its NODE_RANK.
set -euo pipefail

NODES=${NODES:-1}
NODE_RANK=${NODE_RANK:-0}
PROCESSES=${PROCESSES:-$(nvidia-smi --list-gpus 2>/dev/null | wc -l)}
STRATEGY=${STRATEGY:-fsdp2}
HEAD=${HEAD:-127.0.0.1:29500}
PYTHON=${PYTHON:-python}

if [ "$#" -eq 0 ]; then
  echo "usage: [NODES=2 NODE_RANK=0 HEAD=host:port RUN_ID=name] $0 RECIPE [FLAGS]" >&2
  exit 2
fi
if [ "$NODES" -gt 1 ] && [ -z "${RUN_ID:-}" ]; then
  echo "error: with several nodes give all of them the same RUN_ID, a name for this start." >&2
  exit 2
fi
[ "$PROCESSES" -gt 0 ] || PROCESSES=1

case " $* " in
  *" --trainer.strategy"*) strategy=() ;;
  *) strategy=(--trainer.strategy "$STRATEGY") ;;
esac

# A recipe's subcommand, if there is one, stays behind its name; flags come last.
# No restarts: a run goes on where it stopped with --resume, on as many processes as are left.
exec "$PYTHON" -m torch.distributed.run \
  --nnodes "$NODES" \
  --node-rank "$NODE_RANK" \
  --nproc-per-node "$PROCESSES" \
  --rdzv-backend c10d \
  --rdzv-endpoint "$HEAD" \
  --rdzv-id "${RUN_ID:-$(date +%Y%m%d-%H%M%S)}" \
  --rdzv-conf "is_host=$([ "$NODE_RANK" -eq 0 ] && echo true || echo false)" \
  ${LOCAL_ADDRESS:+--local-addr "$LOCAL_ADDRESS"} \
  --max-restarts 0 \
  -m recipes "$@" \
  ${strategy[@]+"${strategy[@]}"} \
  --trainer.devices "$PROCESSES" \
  --trainer.num_nodes "$NODES"
