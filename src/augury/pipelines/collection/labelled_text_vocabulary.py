"""A small tree of subjects with the terms that texts about them use; numbers in the manner of a decimal classification.

The numbers, the captions and the lists of terms are this project's own. Terms of a subject stand in falling frequency.
Many words belong to several subjects (cell, bond, organ, trial), and many terms are made of words that mean something
else alone (civil war, civil law, civil engineering), so that a bag of words does not tell everything.
"""

from typing import NamedTuple


class Subject(NamedTuple):
    """A code of the tree.

    Attributes:
        code: Three digits as text.
        label: Its caption.
        parent: Code above it; None for main classes.
        terms: What texts about it say, the most frequent first.
    """

    code: str
    label: str
    parent: str | None
    terms: tuple[str, ...]


def read_tree() -> tuple[Subject, ...]:
    """The whole tree.

    Returns:
        Subjects, ascending by code; a code whose last digits are zero is above those that share its first ones.
    """
    lines = _TREE.strip().replace("\n    ", " ").splitlines()
    rows = ([part.strip() for part in line.split("|")] for line in lines)
    return tuple(Subject(code, label, _above(code), _terms(terms)) for code, label, terms in rows)


def _above(code: str) -> str | None:
    significant = code.rstrip("0")
    return significant[:-1].ljust(len(code), "0") if len(significant) > 1 else None


def _terms(text: str) -> tuple[str, ...]:
    return tuple(" ".join(term.split()) for term in text.split(","))


GENERAL = _terms(
    """research, method, approach, theory, practice, problem, question, case study, overview, introduction, handbook,
    development, analysis, model, system, structure, process, change, result, evidence, example, concept, principle,
    framework, perspective, debate, context, role, impact, challenge, technique, application, history, future, source,
    comparison, evaluation, review, discussion, experience, project, group, level, form, function, quality, quantity,
    value, growth, order, state, world, time, people, work, life, knowledge, field, resource, environment, community,
    standard, design, planning, strategy, performance, measurement, data, survey, interview, experiment, report,
    collection, chapter, author, student, reader, volume, edition"""
)
"""Terms of any text, all alike."""

_TREE = """
000 | Computing and knowledge | information, computer, digital, data, internet, knowledge, access, record, software,
    technology
004 | Computers and networks | computer network, processor, operating system, server, protocol, hardware, router,
    memory, cloud computing, bandwidth, mainframe, embedded system, cache, wireless network, data centre, packet,
    virtual machine, latency
005 | Programming | programming language, compiler, algorithm, source code, debugging, object, function call, software
    testing, database, query, web application, library routine, version control, syntax, recursion, data structure,
    script, refactoring
006 | Artificial intelligence | machine learning, neural network, computer vision, training data, speech recognition,
    expert system, robot, reasoning, classifier, image processing, deep learning, knowledge base, pattern recognition,
    chatbot, agent, optimisation
020 | Libraries and archives | library, catalogue, reader, collection, reading room, librarian, archive, lending
025 | Library operations | cataloguing, subject heading, classification, indexing, metadata, acquisition, thesaurus,
    digital library, preservation, open access, repository, call number, shelving, authority file, retrieval,
    circulation
027 | Kinds of libraries | public library, university library, school library, national library, reading promotion,
    branch, visitor, opening hours, children, bookmobile, community centre, rare book, user survey, mission, friends
    group
070 | Media and publishing | newspaper, press, editor, publishing, media, journalist, audience, broadcast
071 | Journalism | reporter, news agency, headline, investigative reporting, press freedom, foreign correspondent,
    interview, fake news, columnist, source protection, newsroom, tabloid, war reporting, photojournalism, deadline,
    public opinion
074 | Book publishing | publisher, manuscript, bestseller, book trade, paperback, literary agent, copyright, printing,
    bookshop, typesetting, royalty, edition, electronic book, proofreading, imprint, book fair
100 | Philosophy and the mind | mind, thought, truth, reason, human nature, consciousness, belief, meaning, self,
    freedom
120 | Theory of knowledge | knowledge, scepticism, metaphysics, causation, reality
121 | Epistemology | justification, certainty, perception, doubt, rationalism, empiricism, a priori, belief,
    intuition, relativism, testimony, objectivity, truth condition, scepticism, explanation
128 | Philosophical anthropology | soul, mortality, personal identity, free will, death, human condition, body,
    emotion, embodiment, intention, agency, finitude, meaning of life, action, dualism
150 | Psychology | psychology, behaviour, cognition, personality, experiment, mental, test person
152 | Perception and emotion | visual perception, attention, colour vision, illusion, emotion, fear, pain, hearing,
    reaction time, anger, stimulus, reflex, facial expression, touch, motor skill, mood
153 | Memory and learning | memory, learning, forgetting, intelligence, problem solving, creativity, working memory,
    decision making, imagination, recall, concept formation, motivation, intelligence test, habit, conditioning,
    attention span
155 | Development and personality | childhood, adolescence, personality trait, attachment, parenting, identity,
    ageing, stress, temperament, gender difference, toddler, coping, self-esteem, resilience, sibling, grief
170 | Ethics | ethics, moral, duty, virtue, justice, responsibility
174 | Professional ethics | medical ethics, business ethics, code of conduct, informed consent, whistleblower,
    conflict of interest, bioethics, euthanasia, animal testing, confidentiality, corporate responsibility, research
    ethics, corruption, cloning, genetic engineering
177 | Social ethics | friendship, love, honesty, lying, discrimination, charity, courtesy, hospitality, tolerance,
    solidarity, gossip, human dignity, forgiveness, respect, generosity
200 | Religion | religion, faith, god, prayer, ritual, scripture, spiritual, sacred, worship, tradition
220 | Bible | bible, testament, verse, prophet, translation, commentary
221 | Old Testament | psalm, exodus, genesis, hebrew bible, covenant, isaiah, king david, creation story, commandment,
    moses, prophecy, temple, exile, wisdom literature, israelites
226 | Gospels | gospel, jesus, parable, apostle, miracle, sermon, disciple, resurrection, crucifixion, new testament,
    nazareth, baptism, passion story, synoptic problem, beatitude
260 | Church | church, christian, congregation, clergy, parish, christianity
262 | Church organisation | bishop, pope, priesthood, synod, diocese, ordination, cathedral, canon law, ecumenism,
    vatican, lay people, cardinal, council, abbot, schism
266 | Mission | missionary, conversion, evangelism, mission school, colony, preaching, charity, indigenous people,
    gospel translation, overseas mission, hospital, revival, catechism, baptism, church planting
290 | Other religions | temple, monk, festival, pilgrimage, myth, deity
294 | Buddhism and Hinduism | buddha, meditation, karma, hinduism, yoga, monastery, reincarnation, nirvana, caste,
    zen, sutra, ascetic, mantra, guru, dharma, enlightenment
297 | Islam | islam, koran, mosque, muslim, muhammad, sharia, hadith, mecca, ramadan, caliph, imam, sufism, fasting,
    shia, islamic law, hajj
300 | Society | society, social, government, policy, public, citizen, institution, population, reform, inequality
320 | Politics | state, politics, power, government, political, democracy
324 | Elections and parties | election, political party, campaign, voter, ballot, parliament, candidate, coalition,
    opinion poll, opposition, referendum, lobby, populism, suffrage, electoral system, majority
327 | International relations | foreign policy, diplomacy, treaty, embassy, security council, sanction, alliance, cold
    war, peacekeeping, border, arms control, superpower, summit, development aid, negotiation, conflict
330 | Economics | economy, market, price, economic, capital, growth
331 | Labour | labour market, trade union, wage, unemployment, strike, working hours, employer, collective bargaining,
    minimum wage, apprentice, pension, migrant worker, workplace, child labour, productivity, retirement
332 | Finance | bank, interest rate, stock exchange, investment, bond, credit, currency, inflation, central bank,
    mortgage, portfolio, financial crisis, exchange rate, hedge fund, liquidity, risk premium
340 | Law | law, court, legal, judge, right, act
345 | Criminal law | crime, prosecution, murder, jury, sentence, criminal trial, evidence, defendant, prison, theft,
    penal code, fraud, confession, punishment, police investigation, acquittal, cell
346 | Private law | contract, property, civil law, tort, liability, inheritance, damages, marriage, lease, copyright,
    bankruptcy, trust, negligence, company law, insurance, consumer protection
370 | Education | school, teacher, education, pupil, learning, classroom
371 | Schools and teaching | lesson, curriculum, homework, school reform, classroom management, special education,
    textbook, teaching method, school leadership, blackboard, bullying, school inspection, timetable, headmaster,
    learning disability, examination
378 | Higher education | university, campus, professor, degree, lecture, doctoral student, faculty, tuition fee,
    admission, academic career, scholarship, distance learning, college, bachelor, accreditation, research funding
400 | Language | language, word, speaker, speech, grammar, meaning, text, linguistic, dialect, writing
410 | Linguistics | linguistics, corpus, structure, utterance, rule
414 | Phonetics | vowel, consonant, phoneme, pronunciation, syllable, intonation, stress, tone, articulation, accent,
    voice, prosody, acoustics, sound change, pitch, tongue
415 | Grammar | syntax, verb, noun, tense, sentence structure, case marking, morphology, word order, clause,
    agreement, pronoun, subject, inflection, aspect, generative grammar, adjective
420 | English | english language, dictionary, spelling, vocabulary
425 | English usage | phrasal verb, english grammar, punctuation, spelling reform, idiom, style guide, plain english,
    business letter, american english, article, preposition, usage, passive voice, exercise book, composition
428 | English for learners | language learner, second language, vocabulary list, listening comprehension, language
    course, language test, phrase book, conversation, reading comprehension, role play, beginner, language school,
    bilingualism, fluency, native speaker
500 | Science | science, scientist, experiment, nature, observation, theory, laboratory, equation, measurement,
    discovery
510 | Mathematics | theorem, proof, number, equation, mathematics
512 | Algebra | group theory, ring, field extension, matrix, polynomial, vector space, linear algebra, homomorphism,
    module, prime number, root, ideal, galois theory, eigenvalue, lattice, permutation
515 | Analysis | integral, derivative, differential equation, limit, series, calculus, convergence, function space,
    complex function, measure, fourier transform, operator, continuity, boundary value, hilbert space, inequality
519 | Probability and statistics | probability, regression, random variable, hypothesis test, sample, bayesian
    inference, variance, markov chain, time series, stochastic process, confidence interval, distribution, estimator,
    likelihood, correlation, monte carlo
520 | Astronomy | star, planet, telescope, orbit, universe
523 | Stars and planets | galaxy, black hole, solar system, sun, comet, mars, supernova, asteroid, eclipse, exoplanet,
    milky way, mercury, dark matter, big bang, red giant, jupiter
525 | Earth and time | calendar, earth rotation, leap year, season, tide, latitude, time zone, equinox, navigation,
    clock, satellite, longitude, moon phase, sundial, solstice
530 | Physics | energy, force, mass, particle, physics
531 | Mechanics | motion, gravity, acceleration, pendulum, friction, torque, momentum, rigid body, vibration,
    elasticity, newton, projectile, kinetic energy, equilibrium, statics, oscillation
537 | Electricity and magnetism | electric field, current, magnet, voltage, resistance, charge, electromagnetic wave,
    circuit, semiconductor, superconductor, capacitor, induction, antenna, maxwell, conductor, plasma
539 | Atoms and quanta | quantum mechanics, electron, nucleus, radioactivity, photon, wave function, nuclear fission,
    particle accelerator, quark, isotope, uncertainty principle, spin, atomic bomb, neutron, higgs boson, radiation,
    half-life
540 | Chemistry | molecule, reaction, compound, chemistry, solution
543 | Analytical chemistry | spectroscopy, chromatography, titration, mass spectrometry, sample preparation,
    concentration, detection limit, trace element, reagent, spectrum, calibration, electrode, infrared, solvent,
    contaminant, assay
547 | Organic chemistry | carbon, polymer, synthesis, catalyst, alcohol, ester, benzene, enzyme, bond, acid, ketone,
    isomer, hydrocarbon, natural product, protein, chirality
570 | Biology | cell, organism, species, gene, life
576 | Genetics and evolution | evolution, mutation, natural selection, chromosome, dna, genome, inheritance, darwin,
    adaptation, population genetics, gene expression, speciation, allele, fossil, sequencing, heredity
577 | Ecology | ecosystem, habitat, biodiversity, food web, rainforest, climate change, predator, conservation,
    invasive species, coral reef, wetland, soil, pollution, niche, symbiosis, carbon cycle
600 | Technology | technology, engineering, industry, machine, product, production, equipment, safety, material,
    efficiency
610 | Medicine | patient, disease, treatment, doctor, clinical, hospital
612 | Physiology | heart, blood, muscle, lung, hormone, nerve, brain, metabolism, kidney, blood pressure, digestion,
    organ, tissue, bone, respiration, immune system, cell
615 | Drugs and therapy | drug, dose, side effect, antibiotic, clinical trial, pharmacy, vaccine, physiotherapy,
    painkiller, toxicology, prescription, herbal medicine, placebo, acupuncture, receptor, radiation therapy
616 | Diseases | cancer, diabetes, infection, diagnosis, symptom, virus, depression, asthma, tumour, heart attack,
    epidemic, dementia, tuberculosis, allergy, stroke, malaria, schizophrenia
620 | Engineering | engineer, construction, load, design, power
621 | Machines and electronics | engine, turbine, power plant, transistor, pump, electric motor, bearing, microchip,
    signal, gear, heat exchanger, laser, electric power, amplifier, control system, circuit board
624 | Civil engineering | bridge, concrete, tunnel, foundation, steel beam, civil engineering, earthquake, dam, soil
    mechanics, road, railway, girder, reinforcement, fatigue, crane, retaining wall
629 | Vehicles | car, aircraft, automobile, helicopter, spacecraft, battery, electric vehicle, wing, brake, driver
    assistance, rocket, motorcycle, autopilot, tyre, fuel consumption, flight
630 | Agriculture | farm, crop, farmer, harvest, animal
633 | Crops and gardens | wheat, garden, fertiliser, irrigation, seed, pesticide, vineyard, maize, orchard,
    greenhouse, weed, soil, rice, plant breeding, compost, root, tulip
636 | Animals and pets | horse, dairy cow, dog, sheep, breeding, veterinary, cattle, poultry, cat, feed, milk,
    pasture, animal welfare, stable, puppy, livestock, beekeeping
640 | Household | kitchen, home, family, recipe
641 | Food and cooking | cooking, dessert, bread, vegetable, wine, restaurant, nutrition, baking, chef, cheese, spice,
    diet, soup, roast, chocolate, ingredient, taste
650 | Business | business, company, firm, organisation, manager
657 | Accounting | balance sheet, audit, bookkeeping, financial statement, cost accounting, depreciation, ledger,
    auditor, tax return, asset, cash flow, revenue, accrual, fair value, invoice, disclosure
658 | Management | manager, company, marketing, employee, customer, leadership, supply chain, strategy, logistics,
    accounting, start-up, brand, human resources, project management, procurement, controlling, sales
700 | Arts | art, artist, style, exhibition, museum, work of art, aesthetic, performance, creative, beauty
720 | Architecture | building, architect, house, design, space
725 | Public buildings | museum building, railway station, town hall, hospital building, theatre building, skyscraper,
    stadium, facade, monument, airport, courthouse, competition, foyer, school building, prison building
728 | Houses | villa, apartment, housing estate, castle, country house, roof, living room, cottage, terrace, interior,
    renovation, courtyard, farmhouse, fireplace, residential building, bungalow
750 | Painting | painter, canvas, colour, portrait, picture
751 | Techniques of painting | oil painting, brush, pigment, fresco, watercolour, restoration, easel, varnish,
    palette, perspective, drawing, forgery, tempera, mural, sketch, acrylic
759 | Painters and schools | impressionism, renaissance, expressionism, rembrandt, baroque, cubism, landscape
    painting, still life, picasso, realism, romanticism, gallery, self-portrait, surrealism, avant-garde, dutch master
780 | Music | music, composer, concert, song, sound
782 | Vocal music | opera, singer, choir, soprano, mass, lied, libretto, aria, oratorio, hymn, folk song, musical
    theatre, tenor, cantata, voice training, chanson
784 | Instruments | orchestra, piano, violin, organ, symphony, guitar, flute, string quartet, conductor, sonata,
    trumpet, drum, chamber music, score, keyboard, tuning, bow
790 | Sports and stage | game, player, audience, stage, team
792 | Theatre and film | actor, drama, director, film, play, stage design, comedy, screenplay, rehearsal, cinema,
    tragedy, ballet, costume, dance, puppet, documentary film
796 | Sports | football, athlete, training, olympic games, coach, tournament, tennis, swimming, climbing, referee,
    fitness, marathon, cycling, pitch, league, doping
800 | Literature | literature, poem, novel, writer, poet, narrative, character, literary, verse, criticism
820 | English literature | england, english, century, irony
821 | English poetry | sonnet, romantic poetry, wordsworth, ballad, milton, metre, rhyme, elegy, metaphor, ode, keats,
    stanza, chaucer, lyric, epic poem, imagery
823 | English fiction | dickens, plot, gothic novel, detective story, jane austen, short story, narrator, science
    fiction, victorian novel, heroine, historical novel, satire, postcolonial fiction, fairy tale, character, thriller
830 | German literature | goethe, german, translation, enlightenment
832 | German drama | schiller, faust, brecht, tragedy, epic theatre, lessing, stage, weimar classicism, monologue,
    comedy, act, kleist, naturalism, hauptmann, dialogue
833 | German prose | thomas mann, kafka, novella, bildungsroman, fairy tale, grimm, narrator, exile literature,
    realism, fontane, short prose, hesse, post-war literature, diary, letter
900 | History and geography | history, century, war, empire, country, people, travel, map, ancient, archive
910 | Geography and travel | landscape, region, city, travel, island
912 | Maps | atlas, cartography, map projection, scale, satellite image, topographic map, geographic information,
    surveying, coordinate, globe, aerial photograph, contour line, street map, navigation, legend
914 | Travel in Europe | travel guide, alps, hiking trail, italy, hotel, paris, mediterranean, coast, sightseeing,
    pilgrim route, tourism, rail journey, london, danube, camping, castle
930 | Ancient history | antiquity, excavation, ancient, inscription, ruin
932 | Ancient Egypt | pharaoh, pyramid, hieroglyph, nile, mummy, tomb, papyrus, ramses, temple, sphinx, cleopatra,
    dynasty, burial, tutankhamun, obelisk
937 | Rome | roman empire, caesar, senate, legion, latin, gladiator, augustus, republic, slave, aqueduct, pompeii,
    emperor, roman law, carthage, province, colosseum
940 | History of Europe | europe, king, revolution, nation, battle
942 | British history | parliament, tudor, queen victoria, british empire, industrial revolution, norman conquest,
    churchill, civil war, scotland, magna carta, crown, colony, london, cromwell, ireland, aristocracy
943 | German history | prussia, bismarck, reformation, weimar republic, third reich, berlin wall, reunification,
    emperor, hanseatic league, nazi, habsburg, hitler, east germany, thirty years war, nobility
944 | French history | french revolution, napoleon, versailles, louis xiv, bastille, guillotine, resistance, bourbon,
    joan of arc, huguenot, vichy, de gaulle, paris commune, republic, peasant, monarchy
"""
