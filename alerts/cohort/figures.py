"""Every number of the cohort, with its unit and its source.

A source marked ``*`` is named from general knowledge and was not read here. ``(read: ...)`` says what of it was read.
``assumed`` means that no published figure was found; the reason for the number follows.
"""

from __future__ import annotations

from typing import Final

_KATO: Final = "Kato 2010, Am J Hypertens 23:980-986*, 1,215 people of Ohasama (read: abstract)"
_KAWABE: Final = "Kawabe 2005, Hypertens Res 28:491-498 (read: abstract)"
_HANAZAWA: Final = "Hanazawa 2017, HOMED-BP, Hypertens Res 40:284-290*, 1,649 treated people (read: abstract)"
_ASAYAMA: Final = "Asayama 2021, J Hypertens 40:398-407, 287 treated people (read: abstract)"
_VOLD: Final = "Vold 2015, BMC Pulm Med 15:9, Tromsø, 5,152 people (read: table 1)"
_HURST: Final = "Hurst 2010, BMC Pulm Med 10:52, 40 people, 2,705 days (read: abstract)"
_ECLIPSE: Final = "Hurst 2010, ECLIPSE, N Engl J Med 363:1128-1138*: 0.85, 1.34 and 2.00 a year in GOLD 2, 3 and 4"
_GENEVA: Final = "Geneva 2019, Open Forum Infect Dis 6:ofz032*, review of 36 studies (read: abstract)"
_OBERMEYER: Final = "Obermeyer 2017, BMJ 359:j5468, 35,488 people (read: abstract)"
_NORMAN: Final = "Norman 2000, Clin Infect Dis 31:148-151 (read: abstract)"
_ZHANG: Final = "Zhang 2009, TEN-HMS, Eur J Heart Fail 11:420-427, 168 people (read: abstract)"
_SURVEY: Final = "China's survey of chronic disease 2010, 19,981 people from 60 on, PMID 23363868 (read: abstract)"
_ROTTERDAM_AF: Final = "Rotterdam study, Heeringa 2006, Eur Heart J 27:949-953* (read: abstract)"
_ROTTERDAM_HF: Final = "Rotterdam study, Bleumink 2004, Eur Heart J 25:1614-1619*"
_CENSUS: Final = "China's seventh census 2020*, people from 65 on"
_CHAN: Final = "Chan 2017, BMJ Open 7:e013685, 5,969 people (read: abstract)"
_EDRIDGE: Final = "Edridge 2015, PLoS One 10:e0126427, review of 46 studies (read: abstract)"
_DUNKLEY: Final = "Dunkley 2019, Diabetes Obes Metab, doi 10.1111/dom.13690, 325 people (read: a summary)"
_BRESCIA: Final = "Emergency departments of Brescia 2008-2015, J Hypertens, PMID 31415308 (read: abstract): 189 ± 12 / 94 ± 15 to 193 ± 15 / 102 ± 15"
_MILLETT: Final = "Millett 2013, PLoS One 8:e75131: 92 in 1,000 person-years at 65-69, 188 at 85-89 (read: abstract)"
_AHMED: Final = "Ahmed 2018, PLoS One 13:e0190521*"
_FLEMING: Final = "Fleming and Brayne 2008, BMJ 337:a2227, 110 people over 90 (read: abstract)"
_RUBENSTEIN: Final = "Rubenstein and Josephson 2002, Clin Geriatr Med 18:141-158*"
_SINK: Final = "Sink 2018, SPRINT, PMID 29601076 (read: abstract): 1.6 % with a serious event in 3.3 years"
_ROSE: Final = "Rose 2011, J Clin Hypertens 13:416-421 (read: abstract): 12 to 15 mmHg between a good and a poor week"
_VRIJENS: Final = "Vrijens 2008, BMJ 336:1114-1117*: a tenth of the doses of people who still take them"
_DING: Final = "Ding 2020, ITEC-CHF, J Med Internet Res 22:e17559 (read: abstract): 74 % weighed themselves on 4 days a week or more"
_HEARTCYCLE: Final = "HeartCycle 2015, Patient Prefer Adherence 9:1195-1206 (read: abstract): 90 ± 16 % of days"
_AIDE: Final = "AIDE-MOI 2019*, as in our clinical reference: 0.17 false alarms a week for each wearer"
_OWN_FALLS: Final = "Our own figures, docs/falls.md: 137 of 225 with the set left out wholly"


class Topic(str):
    """What the figures below it are about."""

    __slots__ = ()


class Figure(float):
    """A number that knows what it is, its unit, and where it comes from."""

    what: str
    unit: str
    source: str

    def __new__(cls, value: float, unit: str, what: str, source: str) -> Figure:
        made = super().__new__(cls, value)
        made.what, made.unit, made.source = what, unit, source
        return made


_PEOPLE: Final = Topic("People")
AGED_65: Final = Figure(0.388, "share", "65 to 69 years old", _CENSUS)
AGED_70: Final = Figure(0.260, "share", "70 to 74 years old", _CENSUS)
AGED_75: Final = Figure(0.164, "share", "75 to 79 years old", _CENSUS)
AGED_80: Final = Figure(0.107, "share", "80 to 84 years old; the rest is 85 to 94", _CENSUS)
WOMEN: Final = Figure(0.53, "share", "women", _CENSUS)
HYPERTENSION: Final = Figure(0.669, "share", "have hypertension", _SURVEY)
TREATED: Final = Figure(
    0.79,
    "share",
    "of them take medicine against it",
    "J-HOP, Narita 2020, Hypertens Res*, 4,258 people of 65 (read: abstract): 79.2 %",
)
DIABETES: Final = Figure(0.196, "share", "have diabetes", _SURVEY)
ON_INSULIN: Final = Figure(
    0.20, "share", "of them inject insulin", "assumed: a fifth to a quarter in older type 2 diabetes*"
)
ON_SULFONYLUREA: Final = Figure(
    0.30, "share", "of them take a sulfonylurea", "assumed: about a third in older type 2 diabetes*"
)
COPD: Final = Figure(
    0.10,
    "share",
    "have COPD that is known",
    "assumed, between 5 % self-reported ("
    + _VOLD
    + ") and 27 % by spirometry from 60 on (Wang 2018, Lancet 391:1706-1717*)",
)
HYPERCAPNIC: Final = Figure(0.10, "share", "of them keep carbon dioxide", "assumed: severe disease only")
HOME_OXYGEN: Final = Figure(0.08, "share", "of them have oxygen at home", "assumed: severe disease only")
HEART_FAILURE_65: Final = Figure(0.040, "share", "have heart failure, 65 to 74", _ROTTERDAM_HF)
HEART_FAILURE_75: Final = Figure(0.097, "share", "have heart failure, 75 to 84", _ROTTERDAM_HF)
HEART_FAILURE_85: Final = Figure(0.174, "share", "have heart failure, from 85 on", _ROTTERDAM_HF)
FIBRILLATION_65: Final = Figure(
    0.05, "share", "have atrial fibrillation that is known, 65 to 74", _ROTTERDAM_AF + ": 5.5 % of all from 55 on"
)
FIBRILLATION_75: Final = Figure(0.11, "share", "have it, 75 to 84", _ROTTERDAM_AF + "; between the two others")
FIBRILLATION_85: Final = Figure(0.178, "share", "have it, from 85 on", _ROTTERDAM_AF)
PERMANENT: Final = Figure(
    0.5,
    "share",
    "of known atrial fibrillation is there always",
    "Zoni-Berisso 2014, Clin Epidemiol 6:213-220 (read: abstract)",
)
LIVES_WITH_OTHERS: Final = Figure(
    0.40,
    "share",
    "live with somebody who may use the same instruments",
    "assumed: many live alone, which is why they are watched",
)

_BLOOD_PRESSURE: Final = Topic("Blood pressure")
SYSTOLIC_NORMAL: Final = Figure(
    122,
    "mmHg",
    "morning systolic without hypertension, mean",
    "Ohasama, " + _KATO + ": 123.4 of everybody at 62; Kawabe 115 at 41",
)
SYSTOLIC_NORMAL_SD: Final = Figure(11, "mmHg", "between people, SD", _KAWABE + ": 12 to 13")
SYSTOLIC_TREATED: Final = Figure(
    136, "mmHg", "morning systolic of who is treated, mean", _KAWABE + ": 139 ± 12; Nose study (read: abstract): 134"
)
SYSTOLIC_TREATED_SD: Final = Figure(12, "mmHg", "between people, SD", _KAWABE)
SYSTOLIC_UNTREATED: Final = Figure(138, "mmHg", "morning systolic of who is not treated, mean", _KAWABE + ": 138 ± 16")
SYSTOLIC_UNTREATED_SD: Final = Figure(15, "mmHg", "between people, SD", _KAWABE + ": 16")
DIASTOLIC_SHARE: Final = Figure(
    0.37,
    "mmHg/mmHg",
    "diastolic for each mmHg of systolic, between people",
    "assumed: gives a correlation of about 0.6",
)
DIASTOLIC: Final = Figure(
    76, "mmHg", "diastolic at a systolic of 130 and an age of 70, mean", "Ohasama, " + _KATO + ": 75.7 ± 9.0"
)
DIASTOLIC_SD: Final = Figure(7, "mmHg", "between people of one systolic, SD", "with the part above 9.0 as in " + _KATO)
DIASTOLIC_AGEING: Final = Figure(
    -0.35, "mmHg/year", "diastolic with age", "Franklin 1997, Framingham, Circulation 96:308-315*"
)
SYSTOLIC_DAILY_SD: Final = Figure(
    8.6, "mmHg", "one morning reading a day over four weeks, within a person, mean SD", _KATO
)
SYSTOLIC_DAILY_SD_SD: Final = Figure(3.1, "mmHg", "how that differs between people, SD", _KATO)
DIASTOLIC_DAILY: Final = Figure(5.8 / 8.6, "share", "of that in the diastolic", _KATO)
SYSTOLIC_READING_SD: Final = Figure(
    4.5,
    "mmHg",
    "of it from one inflation to the next",
    "assumed: two readings a minute apart differ by about 6 mmHg (SD)*",
)
PRESSURE_TOGETHER: Final = Figure(0.65, "correlation", "of systolic and diastolic from day to day", "assumed")
SYSTOLIC_YEARLY_SD: Final = Figure(
    4.0,
    "mmHg",
    "slow wandering of the usual systolic over months, SD",
    _ASAYAMA + ": home averages a year apart differ by 7.7 (SD), season and noise in it",
)
EVENING_TREATED: Final = Figure(
    -9, "mmHg", "evening less morning systolic of who is treated", _KAWABE + ": 139 and 130"
)
EVENING_NORMAL: Final = Figure(-1, "mmHg", "evening less morning systolic of others", _KAWABE + ": 115 and 114")
EVENING_SD: Final = Figure(
    6, "mmHg", "that between people, SD", "assumed; J-HOP (read: abstract) counts people with 20 and more"
)
SEASON: Final = Figure(6.7, "mmHg", "winter's systolic above summer's", _HANAZAWA)
SEASON_DIASTOLIC: Final = Figure(2.9, "mmHg", "winter's diastolic above summer's", _HANAZAWA)
FIRST_READING: Final = Figure(
    3,
    "mmHg",
    "first inflation above the second",
    "assumed for the home; a practice has 5 to 6 between the first and the third: Should the first reading be discarded, J Hum Hypertens 2014, doi 10.1038/jhh.2014.98* (read: abstract)",
)
FIRST_DAYS: Final = Figure(
    4, "mmHg", "alarm of the first day with a cuff, halved each day", "assumed: why guidelines drop the first day"
)
ORTHOSTATIC: Final = Figure(
    0.22,
    "share",
    "whose pressure falls when they stand up",
    "Saedon 2020, J Gerontol A 75:117-122*, review: 22 % from 60 on at home",
)
ORTHOSTATIC_FALL: Final = Figure(
    -26,
    "mmHg",
    "their systolic a minute or two after standing up, mean",
    "assumed; 20 and more by definition: Freeman 2011, Auton Neurosci 161:46-48*",
)
ORTHOSTATIC_FALL_SD: Final = Figure(6, "mmHg", "SD, from time to time", "assumed")
STANDING: Final = Figure(-3, "mmHg", "systolic of the others after standing up, mean", "assumed: a few mmHg")
STANDING_SD: Final = Figure(6, "mmHg", "SD", "assumed")
STANDS: Final = Figure(
    0.3, "share", "of people with medicine for their pressure who measure it standing once a week", "assumed"
)
DOSE_MISSED: Final = Figure(0.10, "share", "of days on which the medicine is forgotten", _VRIJENS)
DOSE_EFFECT: Final = Figure(3, "mmHg", "each forgotten dose, waning by a third a day", _ROSE)

_PULSE: Final = Topic("Pulse")
PULSE: Final = Figure(68, "/min", "pulse at rest of men, mean", "assumed: measured at home it is close to 70*")
PULSE_WOMEN: Final = Figure(3, "/min", "women above men", "assumed: known to be higher*")
PULSE_SD: Final = Figure(9, "/min", "between people, SD", "assumed: 9 to 10 in most surveys*")
PULSE_DAILY_SD: Final = Figure(5, "/min", "from day to day, SD", _HURST)
PULSE_READING_SD: Final = Figure(2.5, "/min", "from reading to reading, SD", "assumed")
PULSE_FIBRILLATION: Final = Figure(8, "/min", "higher in atrial fibrillation", "assumed: rates below 110 are aimed at*")
PULSE_FIBRILLATION_SD: Final = Figure(
    7, "/min", "from reading to reading in atrial fibrillation, SD", "assumed: few beats are counted"
)
PULSE_SLOWED: Final = Figure(0.25, "share", "take a beta blocker", "assumed")
PULSE_BLOCKER: Final = Figure(-8, "/min", "what that does", "assumed: 8 to 10*")

_OXYGEN_AND_BREATHING: Final = Topic("Oxygen and breathing")
OXYGEN_TOP: Final = Figure(99, "%", "SpO2 nobody is usually above", _VOLD)
OXYGEN_DEFICIT: Final = Figure(
    1.7,
    "%",
    "usual SpO2 below that, mean of a gamma of shape 2",
    _VOLD + ": 0.8 % at 92 and below, 10 % at 93 to 95 without COPD",
)
OXYGEN_DEFICIT_COPD: Final = Figure(2.7, "%", "the same in COPD", _VOLD + ": 5.2 % and 22.5 %")
OXYGEN_DEFICIT_SEVERE: Final = Figure(
    4, "%", "more where carbon dioxide is kept or oxygen is given", "assumed: a target of 88 to 92 %"
)
OXYGEN_DAILY_SD: Final = Figure(0.7, "%", "from day to day, SD", "assumed, below that in COPD")
OXYGEN_DAILY_SD_COPD: Final = Figure(1.0, "%", "from day to day in COPD, SD", _HURST)
OXYGEN_READING_SD: Final = Figure(
    0.6,
    "%",
    "from reading to reading, SD",
    "assumed: repeated on one finger; the fixed error of an oximeter (2 %*) is in the spread between people",
)
OXYGEN_ARTEFACT: Final = Figure(0.012, "share", "of readings with a cold or moving finger", "assumed")
OXYGEN_ARTEFACT_SIZE: Final = Figure(5, "%", "what such a reading is too low, mean", "assumed")
ARTEFACT_TOLD: Final = Figure(0.6, "share", "of those the oximeter itself doubts", "assumed")
BREATHING: Final = Figure(16, "/min", "breaths, mean", "assumed: 12 to 20 is usual*; old people are in the upper half*")
BREATHING_SD: Final = Figure(2, "/min", "between people, SD", "assumed")
BREATHING_DAILY_SD: Final = Figure(1.2, "/min", "from day to day, SD", "assumed")
BREATHING_COPD: Final = Figure(
    2, "/min", "more in COPD", "assumed: Yañez 2012, Chest 142:1524-1529* has 15 to 20 at rest"
)

_TEMPERATURE: Final = Topic("Temperature")
TEMPERATURE: Final = Figure(
    36.35, "°C", "in the mouth or ear in the morning, mean", _GENEVA + ": 36.57 of all, 0.23 less from 60 on"
)
TEMPERATURE_SD: Final = Figure(
    0.2, "°C", "between people, SD", _OBERMEYER + ": 95 % within 35.7 to 37.3 with all else in it"
)
TEMPERATURE_DAILY_SD: Final = Figure(0.2, "°C", "from day to day, SD", _OBERMEYER + "; the rest of it")
TEMPERATURE_READING_SD: Final = Figure(0.15, "°C", "from reading to reading, SD", "assumed: ear and mouth")
TEMPERATURE_EVENING: Final = Figure(
    0.25, "°C", "higher in the evening", "assumed: 0.2 to 0.5 between night and evening*"
)
ARMPIT: Final = Figure(
    0.20, "share", "measure in the armpit", "assumed: usual in China, less so with thermometers that have a radio"
)
ARMPIT_LOWER: Final = Figure(0.5, "°C", "what that shows too little", _GENEVA + ": armpit 35.97, mouth 36.57")
ARMPIT_READING_SD: Final = Figure(0.3, "°C", "and from reading to reading, SD", _GENEVA + ": 35.01 to 36.93 (2 SD)")

_WEIGHT: Final = Topic("Weight")
WEIGHT_MEN: Final = Figure(66, "kg", "men, mean", "assumed: old men in China*")
WEIGHT_WOMEN: Final = Figure(58, "kg", "women, mean", "assumed: old women in China*")
WEIGHT_SD: Final = Figure(10, "kg", "between people, SD", "assumed")
WEIGHT_DAILY_SD: Final = Figure(
    0.45, "kg", "from day to day, SD", "assumed with the next: two weeks apart 1.1 (SD), as in " + _ZHANG
)
WEIGHT_YEARLY_SD: Final = Figure(1.3, "kg", "slow wandering over months, SD", _ZHANG)
WEIGHT_CLOTHES: Final = Figure(0.03, "share", "of weighings in other clothes, about a kilogram more", "assumed")

_GLUCOSE: Final = Topic("Glucose")
GLUCOSE: Final = Figure(7.6, "mmol/L", "fasting in diabetes without insulin, median", "assumed: HbA1c about 7.3 %*")
GLUCOSE_INSULIN: Final = Figure(8.8, "mmol/L", "fasting with insulin, median", "assumed: HbA1c about 8 %*")
GLUCOSE_SPREAD: Final = Figure(0.18, "log", "between people, SD of the logarithm", "assumed")
GLUCOSE_DAILY: Final = Figure(0.16, "log", "from day to day, SD of the logarithm", "assumed: 15 to 20 % fasting*")
GLUCOSE_DAILY_INSULIN: Final = Figure(0.26, "log", "from day to day with insulin", "assumed: 25 to 35 % *")
GLUCOSE_MEAL: Final = Figure(1.35, "times", "after the evening meal", "assumed")
GLUCOSE_LEAST: Final = Figure(
    3.9,
    "mmol/L",
    "below it is hypoglycaemia, which has its own episodes",
    "level 1 by definition: International Hypoglycaemia Study Group 2017, Diabetes Care 40:155-157*",
)
GLUCOSE_METER: Final = Figure(0.06, "share", "error of a meter, SD", "ISO 15197*: 95 % within 15 %")

_WHAT_BEFALLS_THEM: Final = Topic("What befalls them. Rates are per person and year.")
CRISIS: Final = Figure(
    0.02,
    "/year",
    "hypertensive crisis, of people with hypertension",
    "assumed: 1 to 2 % of them in a lifetime have an emergency*, four times as many an urgency (" + _BRESCIA + ")",
)
CRISIS_SYSTOLIC: Final = Figure(190, "mmHg", "systolic at its peak, mean", _BRESCIA)
CRISIS_SYSTOLIC_SD: Final = Figure(13, "mmHg", "SD", _BRESCIA)
CRISIS_DIASTOLIC: Final = Figure(0.35, "share", "of the rise in the diastolic", _BRESCIA + "; from a usual 76")
OVERTREATED: Final = Figure(
    0.025, "/year", "low pressure by medicine, of who is treated", "assumed: five times the serious events of " + _SINK
)
OVERTREATED_FALL: Final = Figure(
    -35, "mmHg", "systolic at the worst, mean", "assumed: symptoms begin 30 below one's own mean*"
)
DECOMPENSATION: Final = Figure(
    0.25,
    "/year",
    "heart failure grows worse, of people who have it",
    "assumed: 10 in 100 go to hospital in a year (ESC-HF-LT, Crespo-Leiro 2016, Eur J Heart Fail 18:613-625*), more are treated at home",
)
DECOMPENSATION_WEIGHT: Final = Figure(0.9, "kg", "gain in the two weeks before, mean", _ZHANG)
DECOMPENSATION_WEIGHT_SD: Final = Figure(1.75, "kg", "SD, with the usual 1.1 it is their 2.1", _ZHANG)
DECOMPENSATION_PULSE: Final = Figure(
    9, "/min", "faster, mean", "assumed: seen in 7 of 10 in the week before (Home CARE phase 0*; read: abstract)"
)
DECOMPENSATION_OXYGEN: Final = Figure(-2.0, "%", "SpO2, mean", "assumed: breathlessness is the sign*")
EXACERBATION: Final = Figure(1.0, "/year", "COPD grows worse, of people who have it", _ECLIPSE)
EXACERBATION_OXYGEN: Final = Figure(
    -1.6, "%", "SpO2 at the worst, median", "assumed: a standard deviation and more, " + _HURST
)
EXACERBATION_PULSE: Final = Figure(
    7, "/min", "faster at the worst, median", "assumed: a standard deviation and more, " + _HURST
)
EXACERBATION_SEVERE: Final = Figure(0.2, "share", "of them severe, with twice and more of everything", _ECLIPSE)
EXACERBATION_BREATHING: Final = Figure(
    3.5, "/min", "breaths more, median", "Yañez 2012, Chest 142:1524-1529*: a rise by a fifth and more in 7 of 10"
)
INFECTION_65: Final = Figure(
    0.14,
    "/year",
    "infection that makes ill, at 65",
    _MILLETT + ", and half as many of the urinary tract (" + _AHMED + ")",
)
INFECTION_90: Final = Figure(0.30, "/year", "the same at 90; in between in proportion", _MILLETT + "; " + _AHMED)
BLUNTED: Final = Figure(0.25, "share", "of them with hardly a fever", _NORMAN + ": 20 to 30 %")
COOLED: Final = Figure(
    0.05,
    "share",
    "of them colder instead",
    "assumed: more often in the old (University of Maryland; read: a note), seen in a tenth of sepsis*",
)
FEVER: Final = Figure(1.7, "°C", "fever otherwise, median", "assumed: 38 to 38.5 °C at its height*")
INFECTION_PULSE: Final = Figure(8.5, "/min/°C", "faster for each degree", "Karjalainen 1986, J Emerg Med 4:339-344*")
INFECTION_PULSE_LEAST: Final = Figure(8, "/min", "faster without fever, median", "assumed")
INFECTION_CHEST: Final = Figure(0.6, "share", "of them in the chest, with less oxygen", _MILLETT + "; " + _AHMED)
HYPOGLYCAEMIA_INSULIN: Final = Figure(
    4.39, "/year", "too little glucose, with insulin", _DUNKLEY + "; a review has 23 (" + _EDRIDGE + ")"
)
HYPOGLYCAEMIA_SULFONYLUREA: Final = Figure(2.0, "/year", "the same with a sulfonylurea", _EDRIDGE)
HYPOGLYCAEMIA_DEPTH: Final = Figure(3.1, "mmol/L", "the lowest glucose, mean", "assumed")
HYPOGLYCAEMIA_FELT: Final = Figure(
    0.5, "share", "of them felt, and measured for that", "assumed: awareness fades with age*"
)
HYPERGLYCAEMIA: Final = Figure(
    0.15,
    "/year",
    "days of high glucose, of people with diabetes",
    "assumed: steroids, missed insulin, beside infections",
)
HYPERGLYCAEMIA_RISE: Final = Figure(8, "mmol/L", "higher at the worst, median", "assumed")
FIBRILLATION_NEW_65: Final = Figure(
    0.008, "/year", "new atrial fibrillation, at 65", _ROTTERDAM_AF + ": 1.1 in 1,000 at 55-59"
)
FIBRILLATION_NEW_80: Final = Figure(0.0207, "/year", "the same from 80 on", _ROTTERDAM_AF)
FIBRILLATION_NEW_PULSE: Final = Figure(25, "/min", "faster at first, median", "assumed: 100 to 120 untreated*")
FIBRILLATION_STAYS: Final = Figure(0.5, "share", "of it stays; the rest ends within two days", "assumed")
FALLS_65: Final = Figure(0.45, "/year", "falls at 65", _RUBENSTEIN + ": 0.65 of all from 65 on")
FALLS_90: Final = Figure(1.3, "/year", "falls at 90", _RUBENSTEIN)
DOWN_65: Final = Figure(
    0.25,
    "share",
    "cannot get up at once, at 65",
    "assumed: half of who is not hurt, Tinetti 1993, JAMA 269:65-70*, many only for minutes",
)
DOWN_90: Final = Figure(0.54, "share", "cannot get up at once, at 90", _FLEMING + ": 54 % found on the floor")
DOWN_TIME: Final = Figure(
    25,
    "min",
    "on the floor then, median; until found",
    "with its spread an hour and more in a quarter of them; " + _FLEMING + ": 30 % of those who fell",
)
FALL_TOLD: Final = Figure(0.61, "share", "of falls that the wearable tells", _OWN_FALLS)
FALL_WORN: Final = Figure(0.75, "share", "of falls with the wearable on", "assumed: nights, baths, forgotten")
FALL_FALSE: Final = Figure(0.17, "/week", "falls told that were none, for each wearer", _AIDE)
FALL_FALSE_WALKS: Final = Figure(
    0.8, "share", "of those after which walking is felt within half a minute", "assumed: who sat down hard goes on"
)
CALLS_TRUE: Final = Figure(0.6, "/year", "calls for help with a reason, beside falls", "assumed")
CALLS_FALSE: Final = Figure(
    0.8, "/year", "presses by mistake", "assumed: alarm centres have far more calls by mistake than emergencies*"
)

_COURSES: Final = Topic(
    "How illnesses run. Times are medians; that people differ (an SD of the logarithm of 0.3 to 0.9) is assumed."
)
CRISIS_WORST: Final = Figure(3, "h", "a crisis: from the first sign to the worst", "assumed: hours")
CRISIS_STAYS: Final = Figure(14, "h", "and at the worst", "assumed: until treated, most within a day*")
CRISIS_FADES: Final = Figure(24, "h", "and waning", "assumed: urgencies are lowered over 24 to 48 h*")
CRISIS_PULSE: Final = Figure(8, "/min", "faster meanwhile, mean", "assumed")
OVERTREATED_WORST: Final = Figure(
    2, "days", "low pressure: from the first sign to the worst", "assumed: a new dose works within days"
)
OVERTREATED_STAYS: Final = Figure(6, "days", "and at the worst", "assumed: until somebody lowers the dose")
OVERTREATED_FADES: Final = Figure(2, "days", "and waning", "assumed")
OVERTREATED_DIASTOLIC: Final = Figure(0.4, "share", "of the fall in the diastolic", "assumed")
OVERTREATED_PULSE: Final = Figure(5, "/min", "faster meanwhile, mean", "assumed: blunted in the old*")
DECOMPENSATION_WORST: Final = Figure(
    12,
    "days",
    "heart failure: from the first sign to the worst",
    "Chaudhry 2007, Circulation 116:1549-1554 (read: abstract): weight rises from about 30 days before, most in the last week",
)
DECOMPENSATION_STAYS: Final = Figure(1.5, "days", "and at the worst", "assumed")
DECOMPENSATION_FADES: Final = Figure(5, "days", "and waning, at home", "assumed: diuretics work within days*")
DECOMPENSATION_BREATHING: Final = Figure(3, "/min", "breaths more at the worst, mean", "assumed")
DECOMPENSATION_ADMITTED: Final = Figure(
    0.5, "share", "of them admitted at the worst", "assumed: with the rate above, as many are treated at home"
)
EXACERBATION_WORST: Final = Figure(
    2.5, "days", "COPD: from the first sign to the worst", _HURST + ": greatest change after 2 to 3 days"
)
EXACERBATION_STAYS: Final = Figure(2, "days", "and at the worst", "assumed")
EXACERBATION_FADES: Final = Figure(
    6, "days", "and waning", "Seemungal 2000, Am J Respir Crit Care Med 161:1608-1613*: recovered after 7 days, median"
)
EXACERBATION_FEVER: Final = Figure(0.3, "share", "of them with a slight fever", "assumed")
EXACERBATION_ADMITTED: Final = Figure(
    0.7, "share", "of the severe ones admitted", "assumed: admission is what makes one severe"
)
INFECTION_WORST: Final = Figure(1, "days", "infection: from the first sign to the worst", "assumed")
INFECTION_STAYS: Final = Figure(1.5, "days", "and at the worst", "assumed")
INFECTION_FADES: Final = Figure(3, "days", "and waning", "assumed: fever is gone 3 days after an antibiotic, median*")
INFECTION_SEVERE: Final = Figure(
    0.12,
    "share",
    "of them severe, with twice the loss of oxygen",
    "assumed: pneumonia is a tenth of infections of the chest (" + _MILLETT + ")",
)
INFECTION_OXYGEN: Final = Figure(-1.5, "%", "SpO2 with one of the chest, median", "assumed")
INFECTION_SYSTOLIC: Final = Figure(-20, "mmHg", "systolic in the severe", "assumed")
HYPOGLYCAEMIA_WORST: Final = Figure(45, "min", "too little glucose: from its beginning to the lowest", "assumed")
HYPOGLYCAEMIA_STAYS: Final = Figure(30, "min", "and at the lowest", "assumed: until she eats")
HYPOGLYCAEMIA_FADES: Final = Figure(
    40, "min", "and rising", "assumed: 15 g of sugar work within 15 min, at most twice*"
)
HYPERGLYCAEMIA_WORST: Final = Figure(1, "days", "too much glucose: to the highest", "assumed")
HYPERGLYCAEMIA_STAYS: Final = Figure(3, "days", "and at the highest", "assumed")
HYPERGLYCAEMIA_FADES: Final = Figure(1.5, "days", "and falling", "assumed")
FIBRILLATION_LASTS: Final = Figure(
    10, "h", "new atrial fibrillation that ends: lasts", "assumed: paroxysms end within 48 h, most sooner*"
)
_HABITS: Final = Topic("Habits")
MEASURES: Final = Figure(
    0.80, "share", "of the occasions at which she should measure and does, mean", _DING + "; " + _HEARTCYCLE
)
MEASURES_SPREAD: Final = Figure(0.9, "logit", "that between people, SD", _HEARTCYCLE)
FORGETS_AGAIN: Final = Figure(0.5, "correlation", "of forgetting today and tomorrow", "assumed")
HOLIDAYS: Final = Figure(2, "/year", "times away from home", "assumed")
HOLIDAY: Final = Figure(6, "days", "away, median", "assumed")
REPEATS_WHEN_ASKED: Final = Figure(
    0.7, "share", "who measure again when asked to", "assumed: no figure for old people at home was found"
)
FEELS_ILL: Final = Figure(0.5, "share", "of days of illness with a measurement because of it", "assumed")
FALLS_SILENT: Final = Figure(0.25, "share", "of usual measurements left out when ill", "assumed")
SCALE_AND_OTHERS: Final = Figure(0.4, "share", "have an instrument that their conditions do not ask for", "assumed")
WEARS: Final = Figure(0.6, "share", "have a wearable", "assumed")
LEAVES_OFF: Final = Figure(0.12, "share", "of days on which it is left off for hours", "assumed")

_INSTRUMENTS: Final = Topic("Instruments")
CUFF_MOVED: Final = Figure(0.025, "share", "of inflations during which she moves or talks", "assumed")
CUFF_MOVED_SD: Final = Figure(14, "mmHg", "what that makes of it, SD", "assumed: talking alone 10 to 15*")
CUFF_LOOSE: Final = Figure(0.015, "share", "of inflations with a loose or small cuff", "assumed")
CUFF_LOOSE_RISE: Final = Figure(12, "mmHg", "what that adds, mean", "assumed: a small cuff adds 5 to 20*")
CUFF_TELLS: Final = Figure(0.5, "share", "of those two the cuff tells of", "assumed")
IRREGULAR_SEEN: Final = Figure(0.806, "share", "of inflations in atrial fibrillation that are flagged", _CHAN)
IRREGULAR_FALSE: Final = Figure(0.013, "share", "of the others that are flagged", _CHAN)
SOMEBODY_ELSE: Final = Figure(
    0.01, "share", "of readings that are somebody else's, where others live with her", "assumed"
)
CLOCK_WRONG: Final = Figure(0.01, "share", "of cuffs whose clock is hours slow", "assumed")
ARRIVES_LATE: Final = Figure(
    0.02, "share", "of measurements that stay in the device for hours", "assumed: out of reach, or a sleeping radio"
)
LATE: Final = Figure(8, "h", "late, median", "assumed")
OUTAGES: Final = Figure(1.5, "/year", "gateway or its line away", "assumed")
OUTAGE: Final = Figure(8, "h", "away, median", "assumed")
BATTERY: Final = Figure(300, "days", "life of a battery, median", "assumed: a cuff with two measurements a day")
BATTERY_UNCHANGED: Final = Figure(0.3, "share", "of batteries that are left until they are empty", "assumed")


def figures() -> dict[str, list[Figure]]:
    """All of them by topic, in order."""
    found: dict[str, list[Figure]] = {}
    for value in globals().values():
        if isinstance(value, Topic):
            found[value] = []
        elif isinstance(value, Figure):
            found[list(found)[-1]].append(value)
    return found
