"""Evaluation: how true a dream is, and what ships with it.

The room, in the order in which a checkpoint is made and shown::

    making/        measures.py  errors, `Curve`, `StateReader`; yardstick.py what is compared, windows.py along what
                   fidelity.py  open-loop drift on held-out episodes against baselines: `measure_fidelity`
                   rollouts.py  fresh episodes of scripted operators in the simulator, scored in dream and twin
                   gate.py      two checkpoints on the same episodes: `compare_checkpoints`
                   publish.py   checkpoints on the Hugging Face Hub: `push`, `pull`
                   finish.py    from a trained run to a complete checkpoint: `finish_run`; plan.py refuses first,
                                kept_parts.py keeps what was made, describe.py and card.py tell of it
    statistics/    comparison.py  the same actions in dream and twin: `compare`
    pages/         demo.py  `run_demo`, what `make demo` shows; pictures.py and page.py draw it

and in which a policy is scored::

    policies/      load.py     policies by name: `load_policy`; libraries/, those of LeRobot and Stable-Baselines3
                   evaluate.py any policy in a dream and its twin: `evaluate`; episodes.py runs them, record.py keeps,
                               result.py holds what came of it, batch.py takes many policies
    statistics/    inference.py   intervals, also from few real and many imagined episodes
                   calibration.py whether the reward model means what it says
                   agreement.py   real against imagined success: Pearson, MMRV, noise floor, exploitation gap
                   study.py       all of it over a set of policies
    pages/         report.py  the page of an experiment; experiment.py reads it, plots.py draws it, clips.py shows

Nothing is imported here: each part needs extras of its own.
"""
