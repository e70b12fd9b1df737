"""A made-up cohort of old people at home, with labelled episodes: ground truth for protocols. Pure.

What is published of healthy and ill old people (:mod:`alerts.cohort.figures`) makes residents
(:mod:`~alerts.cohort.people`), their days (:mod:`~alerts.cohort.vitals`), what befalls them
(:mod:`~alerts.cohort.episodes`), whether they measure (:mod:`~alerts.cohort.habits`) and what their instruments make
of it (:mod:`~alerts.cohort.instruments`, :mod:`~alerts.cohort.home`). :mod:`~alerts.cohort.cohort` puts it together, and
:mod:`~alerts.cohort.judging` says what a protocol did against the labels. No number here is taken from a protocol.
"""
