import re
from html import unescape

import pytest
from test_experiment import evaluation, write_run

pytest.importorskip("matplotlib")
image = pytest.importorskip("PIL.Image")

from dreamgym.evaluation.pages.experiment import read_experiment  # noqa: E402
from dreamgym.evaluation.pages.plots import plot_training  # noqa: E402
from dreamgym.evaluation.pages.report import report_page, write_report  # noqa: E402


def text_of(page):
    bare = re.sub(r"<[^>]+>", " ", re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S))
    return re.sub(r"\s+", " ", unescape(bare))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    write_run(folder / "open_drawer" / "seed_0", chosen=20)
    write_run(folder / "open_drawer" / "seed_1", real=(2, 4, 6), chosen=10)
    return write_report(folder).read_text()


def test_the_page_holds_everything_itself(page):
    assert not re.search(r'(href|src)="(?!data:|#)', page)
    assert page.count("<svg") == 2


def test_before_and_after_with_intervals_and_their_mean(page):
    told = text_of(page)
    # Seed 0: 3 of 10, then the chosen 8 of 10; seed 1: 2, then the chosen 4 and not the better 6.
    assert "30.0 11–60" in told and "80.0 49–94" in told and "+50.0" in told
    assert "20.0" in told and "+20.0" in told
    assert "mean 25.0 60.0 +35.0" in told


def test_what_was_spent_and_how_far_to_trust_it_is_told(page):
    told = text_of(page)
    assert "5,000 imagined steps of fine-tuning and 0 in the simulator" in told
    assert "Pearson's r of real and imagined success, 6 policies" in told
    assert "MMRV" in told
    assert "held the truth in" in told


def test_names_are_escaped(tmp_path):
    evaluation("<b>mine</b>", 1, 2).save(tmp_path / "evaluations" / "a.json")
    assert "&lt;b&gt;mine&lt;/b&gt;" in report_page(read_experiment(tmp_path))


def test_one_policy_makes_a_page_too(tmp_path):
    evaluation("random", 1, 2).save(tmp_path / "evaluations" / "a.json")
    told = text_of(write_report(tmp_path, tmp_path / "out" / "page.html").read_text())
    assert "random" in told
    assert "Before and after" not in told


def test_a_log_alone_makes_a_page(tmp_path):
    folder = write_run(tmp_path / "a", real=(), imagined=())
    assert "No policy was evaluated yet" in text_of(write_report(folder).read_text())


def test_clips_are_in_the_page(tmp_path):
    made = evaluation("p", 1, 2)
    made.clips.append({"kind": "disagreements", "file": "p.gif"})
    made.clips.append({"kind": "successes", "file": "lost.gif"})
    made.save(tmp_path / "evaluations" / "a.json")
    image.new("RGB", (8, 8)).save(tmp_path / "evaluations" / "p.gif")
    page = report_page(read_experiment(tmp_path))
    assert page.count("data:image/gif") == 1


def test_there_is_no_curve_without_training(tmp_path):
    evaluation("random", 1, 2).save(tmp_path / "evaluations" / "a.json")
    assert plot_training(read_experiment(tmp_path).runs) is None


def test_orders_within_tasks_are_told_where_there_are_several(tmp_path):
    from dataclasses import replace

    for task in ("open_drawer", "close_drawer"):
        for i in range(3):
            made = replace(evaluation(f"p{i}", 3 * i, 3 * i + (task == "open_drawer")), tasks=(task,))
            made.save(tmp_path / "evaluations" / f"{task}{i}.json")
    assert "among the policies of one task" in text_of(report_page(read_experiment(tmp_path)))


@pytest.mark.parametrize(("reals", "ranked"), [((1, 3, 3), False), ((1, 3, 5, 7), False), ((1, 3, 5, 7, 9), True)])
def test_few_policies_with_different_results_are_not_ranked(tmp_path, reals, ranked):
    for i, real in enumerate(reals):
        evaluation(f"p{i}", real, real).save(tmp_path / "evaluations" / f"{i}.json")
    told = report_page(read_experiment(tmp_path))
    assert ("Pearson's r" in text_of(told), "r = 1.00" in told, "MMRV" in text_of(told)) == (ranked,) * 3
    assert ("too few to say how the dream ranks them" in text_of(told)) != ranked


def test_one_task_has_one_mmrv(page):
    assert "among the policies of one task" not in text_of(page)


def test_variants_are_not_averaged_into_one_figure(tmp_path, page):
    for variant in ("vision", "online"):
        for seed in (0, 1):
            write_run(tmp_path / variant / f"open_drawer_{seed}", chosen=10)
    told = text_of(report_page(read_experiment(tmp_path)))
    assert "real success after fine-tuning" in text_of(page)
    assert "real success after fine-tuning" not in told
    assert "mean vision" in told and "mean online" in told
