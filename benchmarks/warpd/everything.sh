#!/usr/bin/env bash
# The experiments of docs/warpd.md on two processor cores, some twelve hours of one core on a quiet machine: every measured
# row of benchmarks/results/warpd_*.json (a row says with what settings it was made; Metaworld's perceptrons there are of
# before --decay).
#
#   benchmarks/warpd/everything.sh --list             names of the steps, in order
#   benchmarks/warpd/everything.sh WORK               all of them; data, runs and rows are kept in the folder WORK
#   benchmarks/warpd/everything.sh WORK STEP...       some; other steps may run beside them, but for those that share what
#                                                     they make: metaworld_others takes VAEs of metaworld_256,
#                                                     latents_metaworld those of decoder, spread those of kl,
#                                                     denoisers those of pusht_32_0-2, in_dreams agents of all suites,
#                                                     halfcheetah_0-2 find gaits
#   benchmarks/warpd/everything.sh WORK collect       the rows and pictures of WORK into benchmarks/results and docs/results
#
# A step that was killed goes on where it was; one that is done has nothing to do. Each step has a file of rows of its own
# (flops and cost write into benchmarks/results).
set -euo pipefail

STEPS=(
  flops cost
  data_pusht data_metaworld data_lift data_can
  metaworld_512 metaworld_128 metaworld_256 metaworld_others metaworld_mlp metaworld_diffusion_s metaworld_diffusion_xs
  pusht_others
  pusht_16_0 pusht_32_0 pusht_64_0 pusht_128_0
  pusht_16_1 pusht_32_1 pusht_64_1 pusht_128_1
  pusht_16_2 pusht_32_2 pusht_64_2 pusht_128_2
  pusht_trained_out metaworld_trained_out lift_trained_out can_trained_out
  lift_0 lift_1 lift_2 can_0 can_1 can_2 lift_mlp can_mlp
  decoder kl spread latents_metaworld latents_lift denoisers
  halfcheetah_0 halfcheetah_1 halfcheetah_2
  in_dreams
)

step() { # NAME: its commands
  local seed=${1##*_} common data="$work/data" out="$work/out/$1.json" here="$root/benchmarks/warpd"
  common=(--preset tiny --decay --out "$out" --runs "$work/runs/${1%%_*}")
  local demos=(dreamgym collect --suite)
  local metaworld=(python "$here/run_metaworld.py" --store "$data/metaworld" --steps 150 "${common[@]}")
  local short=(--vae-epochs 60 --diffusion-epochs 30)
  local ablation=(python "$here/run_ablations.py")
  case $1 in
    flops) python "$here/flops.py" ;;
    cost) python "$here/cost.py" ;;
    data_pusht) "${demos[@]}" pusht --operators habitual --episodes 1100 --store "$data/pusht" ;;
    data_metaworld) # those of Metaworld's dream; who roams is left out when they are read
      "${demos[@]}" metaworld --operators expert noisy stray clumsy random --linger 30 --episodes 4000 \
        --store "$data/metaworld" ;;
    data_lift | data_can) "${demos[@]}" robosuite --tasks "${1#data_}" --episodes 300 --store "$data/${1#data_}" ;;
    metaworld_128 | metaworld_256 | metaworld_512)
      "${metaworld[@]}" "${short[@]}" --methods warpd --sizes "${1##*_}" ;;
    metaworld_others) "${metaworld[@]}" "${short[@]}" --methods warpd_state warpd_no_world_model ;;
    metaworld_mlp) "${metaworld[@]}" --vae-epochs 60 --diffusion-epochs 60 --methods mlp ;;
    metaworld_diffusion_s) "${metaworld[@]}" "${short[@]}" --methods diffusion_policy --sizes s --lengths 32 ;;
    metaworld_diffusion_xs)
      "${metaworld[@]}" "${short[@]}" --methods diffusion_policy --sizes xs
      "${metaworld[@]}" --vae-epochs 200 --diffusion-epochs 200 --methods diffusion_policy --sizes xs --lengths 32 ;;
    metaworld_trained_out)
      "${metaworld[@]}" --vae-epochs 100 --diffusion-epochs 100 --methods diffusion_policy_trained_out --lengths 32 ;;
    pusht_trained_out)
      python "$here/run_pusht.py" --store "$data/pusht" --width 128 --vae-epochs 300 --diffusion-epochs 200 \
        --methods diffusion_policy_trained_out diffusion_policy_relative --horizons 16 "${common[@]}" ;;
    pusht_*)
      local methods=(warpd warpd_no_world_model diffusion_policy latent_diffusion_policy) which=()
      if [ "$1" = pusht_others ]; then methods=(mlp random still); else
        which=(--seeds "$seed" --horizons "$(cut -d_ -f2 <<<"$1")")
      fi
      python "$here/run_pusht.py" --store "$data/pusht" --width 128 --vae-epochs 300 --diffusion-epochs 200 \
        "${which[@]}" --methods "${methods[@]}" "${common[@]}" ;;
    lift_* | can_*) # the worst who demonstrate take some 180 steps to lift and 340 to bin
      local task=${1%%_*} steps=250 which=(--seeds "$seed")
      [ "$task" = lift ] || steps=400
      [ "$seed" != mlp ] || which=(--methods mlp random --horizons 16)
      [ "$seed" != out ] || which=(--methods diffusion_policy_trained_out --horizons 16)
      python "$here/run_robosuite.py" --task "$task" --store "$data/$task" --width 128 --vae-epochs 400 \
        --diffusion-epochs 300 --steps "$steps" "${which[@]}" "${common[@]}" ;;
    decoder)
      "${ablation[@]}" decoder --suite metaworld --store "$data/metaworld" --lengths 150 50 --vae-epochs 40 \
        "${common[@]}" --runs "$work/runs/ablations" ;;
    kl) "${ablation[@]}" kl --suite pusht --store "$data/pusht" --lengths 32 --vae-epochs 100 "${common[@]}" ;;
    spread) # after "kl", whose VAEs it takes
      "${ablation[@]}" spread --suite pusht --store "$data/pusht" --lengths 32 --vae-epochs 100 "${common[@]}" \
        --runs "$work/runs/kl" ;;
    latents_metaworld) # after "decoder", whose VAEs of size s it takes
      "${ablation[@]}" latents --suite metaworld --store "$data/metaworld" --lengths 150 50 --vae-epochs 40 \
        "${common[@]}" --runs "$work/runs/ablations" ;;
    latents_lift)
      "${ablation[@]}" latents --suite robosuite --store "$data/lift" --lengths 250 50 --vae-epochs 100 \
        "${common[@]}" --runs "$work/runs/ablations" ;;
    denoisers) # after "pusht_32_*", whose VAEs it takes
      python "$here/run_denoisers.py" --store "$data/pusht" --width 128 --vae-epochs 300 "${common[@]}" \
        --runs "$work/runs/pusht" ;;
    in_dreams) # after the ones whose agents it takes
      local play=(python "$here/run_in_dreams.py" --out "$out" --suite)
      "${play[@]}" metaworld --store "$data/metaworld" --runs "$work/runs/metaworld" --episodes 100 \
        warpd_{128,256}_tiny_150_{0,1,2}_90
      "${play[@]}" pusht --store "$data/pusht" --runs "$work/runs/pusht" --episodes 100 \
        {warpd,diffusion_policy}_tiny_{16,32,64,128}_{0,1,2}
      "${play[@]}" robosuite --store "$data/lift" --runs "$work/runs/lift" \
        {warpd,diffusion_policy}_lift_tiny_{16,128}_{0,1,2} ;;
    halfcheetah_*) # 1,000 epochs of the diffusion are 5,000 updates; after 1,000 of them its policies still stumble
      python "$here/run_halfcheetah.py" --folder "$data/halfcheetah" --vae-epochs 150 --diffusion-epochs 1000 \
        --mlp-epochs 200 --seeds "$seed" "${common[@]}" ;;
    collect)
      for name in metaworld pusht robosuite ablations denoisers in_dreams halfcheetah; do
        case $name in
          robosuite) files=("$work"/out/{lift,can}_*.json) ;;
          ablations) files=("$work"/out/{decoder,kl,spread,latents_*}.json) ;;
          denoisers | in_dreams) files=("$work/out/$name.json") ;;
          *) files=("$work"/out/"$name"_*.json) ;;
        esac
        for file in "${files[@]}"; do
          [ ! -e "$file" ] || python "$here/rows.py" "$root/benchmarks/results/warpd_$name.json" "$file"
        done
      done
      # The pages show one seed's latents.
      cp "$work"/out/warpd_{latents_*_0,spread_*,halfcheetah_*}.png "$root/docs/results/" 2>/dev/null || true
      python "$here/plot.py" ;;
    *) echo "no step $1; there are: ${STEPS[*]}" >&2; return 1 ;;
  esac
}

if [ "${1:-}" = --list ]; then printf '%s\n' "${STEPS[@]}"; exit; fi
work=$(realpath -m "${1:?give a folder for data, runs and rows, or --list}"); shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "$work"/{data,runs,out}
[ $# -gt 0 ] || set -- "${STEPS[@]}" collect
for name in "$@"; do
  echo "== $name, $(date)"
  step "$name"
done
