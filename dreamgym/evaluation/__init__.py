"""Evaluation: how true a dream is, and what ships with it.

The room, in the order in which a checkpoint is made and shown::

    measures.py    PSNR, metres; `Curve`, `StateReader`
    fidelity.py    open-loop drift on held-out play against two baselines: `measure_fidelity`
    rollouts.py    fresh episodes of scripted experts in the simulator, judged in dream and twin
    finish.py      from a trained run to a complete checkpoint: `finish_checkpoint`
    card.py        the model card
    comparison.py  the same actions in dream and twin: `compare`
    demo.py        `run_demo`, what `make demo` shows; pictures.py and page.py draw it

and in which a policy is judged::

    policies.py    policies by name: `load_policy`; scripted.py, some without training
    evaluate.py    any policy in a dream and its twin: `evaluate`; play.py plays, record.py keeps, clips.py shows;
                   result.py holds what came of it, batch.py takes many policies
    inference.py   intervals, also from few real and many imagined episodes: `wilson`, `prediction_powered`
    calibration.py whether the reward model means what it says
    agreement.py   real against imagined success: Pearson, MMRV, noise floor, exploitation gap
    study.py       all of it over a set of policies
    report.py      the page of an experiment; experiment.py reads it, plots.py draws it

Nothing is imported here: each part needs extras of its own.
"""
